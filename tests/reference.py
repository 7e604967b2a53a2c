#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""reference - does the reference tell of every option and verb that there is, and of no other?

Asks the programs what they take (--help), and the parser of the configuration for its options, and compares
with docs/vswitch.md, docs/vswitchd.md and docs/vswitch.conf.md.

    tests/reference.py VSWITCH VSWITCHD SOURCE-DIRECTORY
"""
import re
import subprocess
import sys
from pathlib import Path

# Of other programs, named for comparison.
OTHERS = {"--live", "--migrateuri"}
# The sections of the configuration's reference whose tables are of options.
CONF_SECTIONS = ("## switch", "### policy", "## scarcity", "## timeouts", "## On the top level")


def help_of(*command):
    return subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout


def options_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def letters_in(text):
    return set(re.findall(r"(?<![\w-])-[a-zA-Z](?=, --)", text))


def compare(what, there, told):
    for name in sorted(there - told):
        print(f"{what}: {name} is there, and the reference does not tell of it")
    for name in sorted(told - there):
        print(f"{what}: the reference tells of {name}, and it is not there")
    return there == told


def verbs_in(text):
    part = text[text.index("Verbs:") : text.index("Options for every verb:")]
    return set(re.findall(r"^  ([a-z-]+(?: [a-z-]+)?)(?= )", part, re.M))


def check_vswitch(program, text):
    general = help_of(program)
    verbs = verbs_in(general)
    texts = [general] + [help_of(program, *verb.split()) for verb in verbs]
    looking = text[text.index("## Looking") : text.index("Root and the members")]
    told = set(re.findall(r"^\| `([a-z]+(?: [a-z]+)?)", looking, re.M))
    told |= set(re.findall(r"^\*\*`([a-z]+(?: [a-z-]+)?) ", text, re.M))
    good = compare("verb", verbs, told)
    there = set().union(*map(options_in, texts))
    good &= compare("option", there, options_in(text) - (OTHERS - there))
    letters = set().union(*map(letters_in, texts))
    return compare("short option", letters, letters_in(text.replace("`", ""))) and good


def check_vswitchd(program, text):
    there = help_of(program)
    return compare("vswitchd", options_in(there), options_in(text))


def check_configuration(source, text):
    there = set(re.findall(r"CFG_(?:INT|STR|STR_LIST|BOOL|SEC)\(\"([a-z-]+)\"", source))
    told = set(re.findall(r"^##+ ([a-z]+) ", text, re.M))
    for section in re.split(r"^(?=##)", text, flags=re.M):
        if section.startswith(CONF_SECTIONS):
            for cell in re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", section, re.M):
                told |= set(re.findall(r"`([a-z-]+)`", cell))
    return compare("configuration", there, told)


def main():
    vswitch, vswitchd, source = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    docs = source / "docs"
    good = check_vswitch(vswitch, (docs / "vswitch.md").read_text())
    good &= check_vswitchd(vswitchd, (docs / "vswitchd.md").read_text())
    good &= check_configuration((source / "src/config/config.c").read_text(), (docs / "vswitch.conf.md").read_text())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
