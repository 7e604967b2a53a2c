/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "src/cli/cli.h"

int verb_audit(struct cli *cli, int argc, char **argv);
