/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The configuration file: libconfuse reads it by the tables below, which are the schema.
 *
 * Whatever libconfuse or a check finds comes to report(), which keeps the first message as one sentence with file
 * and line. libconfuse hands its error function no data of the caller's, so the report of the load that is under way
 * is in a variable of the thread.
 */

#include "src/config/config.h"
#include "src/config/source.h"
#include "src/control/cleanup.h"

#include <confuse.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define USEC_PER_SEC UINT64_C(1000000)

static _Thread_local struct {
        const char *path;
        struct vswitch_error *error;
        bool failed;
} report_to;

/* "bridge, uplinks, create": the options of a section. */
static void list_options(cfg_t *section, char *buffer, size_t size)
{
        size_t length = 0;

        buffer[0] = '\0';
        for (const cfg_opt_t *option = section->opts; option->name && length < size; option++)
                length += (size_t) snprintf(buffer + length, size - length, "%s%s", length ? ", " : "", option->name);
}

__attribute__((format(printf, 2, 0))) static void report(cfg_t *section, const char *format, va_list arguments)
{
        char text[256], known[256];

        if (report_to.failed)
                return; /* the first is the cause */
        report_to.failed = true;
        vsnprintf(text, sizeof(text), format, arguments);
        if (strncmp(text, "no such option", strlen("no such option")) == 0) {
                list_options(section, known, sizeof(known));
                vswitch_error_set(report_to.error, -EINVAL, "%s:%d: %s; known here: %s", report_to.path, section->line,
                                  text, known);
        } else
                vswitch_error_set(report_to.error, -EINVAL, "%s:%d: %s%s", report_to.path, section->line, text,
                                  strstr(text, "invalid boolean") ? ": write yes or no" : "");
}

/* A check of one option: complains through libconfuse, which knows the line. */

static int check_range(cfg_t *section, cfg_opt_t *option, long minimum, long maximum)
{
        long value = cfg_opt_getnint(option, 0);

        if (value >= minimum && value <= maximum)
                return 0;
        cfg_error(section, "%s = %ld is out of range: write a number from %ld to %ld", cfg_opt_name(option), value,
                  minimum, maximum);
        return -1;
}

static int check_timeout(cfg_t *section, cfg_opt_t *option)
{
        return check_range(section, option, 1, 86400);
}

static int check_pause(cfg_t *section, cfg_opt_t *option)
{
        return check_range(section, option, 0, 86400);
}

static int check_margin(cfg_t *section, cfg_opt_t *option)
{
        return check_range(section, option, 1, PORT_POLICY_WEIGHT_MAX);
}

static int check_moves(cfg_t *section, cfg_opt_t *option)
{
        return check_range(section, option, 0, CONFIG_MOVES_MAX);
}

static int check_failures(cfg_t *section, cfg_opt_t *option)
{
        return check_range(section, option, 0, CONFIG_FAILURES_MAX);
}

static int check_percentage(cfg_t *section, cfg_opt_t *option)
{
        return check_range(section, option, 0, 90);
}

static int check_reserve(cfg_t *section, cfg_opt_t *option)
{
        return check_range(section, option, 0, 65535);
}

static int check_weight(cfg_t *section, cfg_opt_t *option)
{
        return check_range(section, option, 0, PORT_POLICY_WEIGHT_MAX);
}

static int check_vlan(cfg_t *section, cfg_opt_t *option)
{
        return check_range(section, option, 0, 4094);
}

static int check_qos(cfg_t *section, cfg_opt_t *option)
{
        return check_range(section, option, 0, 7);
}

static int check_rate(cfg_t *section, cfg_opt_t *option)
{
        return check_range(section, option, 0, 1000000);
}

static int check_protocol(cfg_t *section, cfg_opt_t *option)
{
        const char *text = cfg_opt_getnstr(option, 0);

        if (strcasecmp(text, "802.1Q") == 0 || strcasecmp(text, "802.1ad") == 0)
                return 0;
        cfg_error(section, "%s = \"%s\": write 802.1Q or 802.1ad", cfg_opt_name(option), text);
        return -1;
}

static int check_choice(cfg_t *section, cfg_opt_t *option)
{
        const char *text = cfg_opt_getnstr(option, 0);

        if (strcmp(text, "auto") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "no") == 0)
                return 0;
        cfg_error(section, "%s = %s: write yes, no or auto", cfg_opt_name(option), text);
        return -1;
}

static int check_interface_name(cfg_t *section, cfg_opt_t *option)
{
        for (unsigned i = 0; i < cfg_opt_size(option); i++) {
                const char *name = cfg_opt_getnstr(option, i);

                if (*name && strlen(name) < IF_NAMESIZE && !strpbrk(name, "/: \t\n"))
                        continue;
                cfg_error(section, "%s: \"%s\" cannot be the name of a network interface", cfg_opt_name(option), name);
                return -1;
        }
        return 0;
}

static int check_not_empty(cfg_t *section, cfg_opt_t *option)
{
        if (*cfg_opt_getnstr(option, 0))
                return 0;
        cfg_error(section, "%s is empty: give it a value or leave it out", cfg_opt_name(option));
        return -1;
}

static void set_checks(cfg_t *root)
{
        cfg_set_validate_func(root, "libvirt-uri", check_not_empty);
        cfg_set_validate_func(root, "group", check_not_empty);
        cfg_set_validate_func(root, "switch|bridge", check_interface_name);
        cfg_set_validate_func(root, "switch|uplinks", check_interface_name);
        cfg_set_validate_func(root, "switch|reserve-vfs", check_reserve);
        cfg_set_validate_func(root, "switch|policy|weight", check_weight);
        cfg_set_validate_func(root, "switch|policy|vlan", check_vlan);
        cfg_set_validate_func(root, "switch|policy|vlan-qos", check_qos);
        cfg_set_validate_func(root, "switch|policy|vlan-protocol", check_protocol);
        cfg_set_validate_func(root, "switch|policy|spoof-check", check_choice);
        cfg_set_validate_func(root, "switch|policy|min-rate", check_rate);
        cfg_set_validate_func(root, "switch|policy|max-rate", check_rate);
        cfg_set_validate_func(root, "scarcity|margin", check_margin);
        cfg_set_validate_func(root, "scarcity|stay", check_pause);
        cfg_set_validate_func(root, "scarcity|moves-at-once", check_moves);
        cfg_set_validate_func(root, "scarcity|moves-per-minute", check_moves);
        cfg_set_validate_func(root, "scarcity|failures", check_failures);
        cfg_set_validate_func(root, "scarcity|failures-within", check_timeout);
        cfg_set_validate_func(root, "scarcity|freeze", check_timeout);
        cfg_set_validate_func(root, "scarcity|memory-reserve", check_percentage);
        cfg_set_validate_func(root, "timeouts|guest-driver", check_timeout);
        cfg_set_validate_func(root, "timeouts|unplug", check_timeout);
        cfg_set_validate_func(root, "timeouts|lease", check_timeout);
        cfg_set_validate_func(root, "timeouts|back-off", check_timeout);
}

static char *copy_or_null(const char *text)
{
        return text ? strdup(text) : NULL;
}

static struct port_policy load_policy(cfg_t *section)
{
        const char *spoof_check = cfg_getstr(section, "spoof-check");

        return (struct port_policy){
                .weight = (unsigned) cfg_getint(section, "weight"),
                .vlan = (uint16_t) cfg_getint(section, "vlan"),
                .qos = (uint8_t) cfg_getint(section, "vlan-qos"),
                .vlan_protocol =
                        strcasecmp(cfg_getstr(section, "vlan-protocol"), "802.1ad") == 0 ? ETH_P_8021AD : ETH_P_8021Q,
                .spoof_check = strcmp(spoof_check, "yes") == 0  ? PORT_POLICY_YES
                               : strcmp(spoof_check, "no") == 0 ? PORT_POLICY_NO
                                                                : PORT_POLICY_AUTO,
                .trust = cfg_getbool(section, "trust"),
                .min_rate = (uint32_t) cfg_getint(section, "min-rate"),
                .max_rate = (uint32_t) cfg_getint(section, "max-rate"),
                .prefer_vf = cfg_getbool(section, "prefer-vf"),
        };
}

static int load_switch(cfg_t *section, struct config_switch *ret)
{
        const char *title = cfg_title(section), *bridge = cfg_getstr(section, "bridge");
        unsigned uplinks = cfg_size(section, "uplinks");

        ret->name = strdup(title);
        ret->bridge = strdup(bridge ?: title);
        ret->uplinks = calloc(uplinks + 1, sizeof(*ret->uplinks));
        if (!ret->name || !ret->bridge || !ret->uplinks)
                return -ENOMEM;
        for (unsigned i = 0; i < uplinks; i++) {
                ret->uplinks[i] = strdup(cfg_getnstr(section, "uplinks", i));
                if (!ret->uplinks[i])
                        return -ENOMEM;
                ret->uplinks_count++;
        }
        ret->create = cfg_getbool(section, "create");
        ret->iov = cfg_getbool(section, "iov");
        ret->reserve_vfs = (unsigned) cfg_getint(section, "reserve-vfs");
        ret->policy = load_policy(cfg_getsec(section, "policy"));
        return 0;
}

static int check_policy(cfg_t *section, const struct port_policy *policy)
{
        if (policy->qos > 0 && policy->vlan == 0) {
                cfg_error(section, "vlan-qos = %u needs a vlan", policy->qos);
                return -EINVAL;
        }
        if (policy->max_rate > 0 && policy->min_rate > policy->max_rate) {
                cfg_error(section, "min-rate = %u is more than max-rate = %u", policy->min_rate, policy->max_rate);
                return -EINVAL;
        }
        return 0;
}

/* What no single option shows. */
static int check_switch(cfg_t *section, const struct config *config, const struct config_switch *added)
{
        if (!cfg_getstr(section, "bridge") && strlen(added->bridge) >= IF_NAMESIZE) {
                cfg_error(section, "switch \"%s\": the title cannot be the name of a bridge: add bridge = \"...\"",
                          added->name);
                return -EINVAL;
        }
        if (added->create && added->uplinks_count == 0) {
                cfg_error(section, "switch \"%s\": create = yes needs uplinks = { \"...\" }", added->name);
                return -EINVAL;
        }
        for (size_t i = 0; i < config->switches_count; i++) {
                const struct config_switch *other = &config->switches[i];

                if (other == added)
                        continue;
                if (strcmp(other->bridge, added->bridge) == 0) {
                        cfg_error(section, "switch \"%s\": the bridge %s already belongs to switch \"%s\"", added->name,
                                  added->bridge, other->name);
                        return -EINVAL;
                }
                for (size_t k = 0; k < other->uplinks_count; k++)
                        for (size_t n = 0; n < added->uplinks_count; n++)
                                if (strcmp(other->uplinks[k], added->uplinks[n]) == 0) {
                                        cfg_error(section,
                                                  "switch \"%s\": the uplink %s already belongs to switch \"%s\"",
                                                  added->name, added->uplinks[n], other->name);
                                        return -EINVAL;
                                }
        }
        return 0;
}

static int load_switches(cfg_t *root, struct config *config)
{
        unsigned count = cfg_size(root, "switch");
        int r;

        config->switches = calloc(count + 1, sizeof(*config->switches));
        if (!config->switches)
                return -ENOMEM;
        for (unsigned i = 0; i < count; i++) {
                cfg_t *section = cfg_getnsec(root, "switch", i);

                config->switches_count++;
                r = load_switch(section, &config->switches[i]);
                if (r >= 0)
                        r = check_switch(section, config, &config->switches[i]);
                if (r >= 0)
                        r = check_policy(cfg_getsec(section, "policy"), &config->switches[i].policy);
                if (r < 0)
                        return r;
        }
        return 0;
}

static uint64_t timeout_of(cfg_t *root, const char *name)
{
        return (uint64_t) cfg_getint(root, name) * USEC_PER_SEC;
}

static struct config_scarcity load_scarcity(cfg_t *root)
{
        cfg_t *section = cfg_getsec(root, "scarcity");

        return (struct config_scarcity){
                .preempt = cfg_getbool(section, "preempt"),
                .margin = (unsigned) cfg_getint(section, "margin"),
                .stay_usec = (uint64_t) cfg_getint(section, "stay") * USEC_PER_SEC,
                .moves_at_once = (unsigned) cfg_getint(section, "moves-at-once"),
                .moves_per_minute = (unsigned) cfg_getint(section, "moves-per-minute"),
                .failures = (unsigned) cfg_getint(section, "failures"),
                .failures_usec = (uint64_t) cfg_getint(section, "failures-within") * USEC_PER_SEC,
                .freeze_usec = (uint64_t) cfg_getint(section, "freeze") * USEC_PER_SEC,
                .memory_reserve = (unsigned) cfg_getint(section, "memory-reserve"),
        };
}

static int load(cfg_t *root, char *text, struct config *config)
{
        if (cfg_parse_buf(root, text) != CFG_SUCCESS)
                return -EINVAL;
        config->libvirt_uri = copy_or_null(cfg_getstr(root, "libvirt-uri"));
        config->group = copy_or_null(cfg_getstr(root, "group"));
        config->guest_driver_timeout_usec = timeout_of(root, "timeouts|guest-driver");
        config->unplug_timeout_usec = timeout_of(root, "timeouts|unplug");
        config->lease_timeout_usec = timeout_of(root, "timeouts|lease");
        config->back_off_usec = timeout_of(root, "timeouts|back-off");
        config->scarcity = load_scarcity(root);
        return load_switches(root, config);
}

int config_load(const char *path, struct config **ret, struct vswitch_error *error)
{
        cfg_opt_t policy_options[] = {
                CFG_INT("weight", 50, CFGF_NONE),
                CFG_INT("vlan", 0, CFGF_NONE),
                CFG_INT("vlan-qos", 0, CFGF_NONE),
                CFG_STR("vlan-protocol", "802.1Q", CFGF_NONE),
                CFG_STR("spoof-check", "auto", CFGF_NONE),
                CFG_BOOL("trust", cfg_false, CFGF_NONE),
                CFG_INT("min-rate", 0, CFGF_NONE),
                CFG_INT("max-rate", 0, CFGF_NONE),
                CFG_BOOL("prefer-vf", cfg_false, CFGF_NONE),
                CFG_END(),
        };
        cfg_opt_t switch_options[] = {
                CFG_STR("bridge", NULL, CFGF_NODEFAULT),
                CFG_STR_LIST("uplinks", NULL, CFGF_NODEFAULT),
                CFG_BOOL("create", cfg_false, CFGF_NONE),
                CFG_BOOL("iov", cfg_true, CFGF_NONE),
                CFG_INT("reserve-vfs", 0, CFGF_NONE),
                CFG_SEC("policy", policy_options, CFGF_NONE),
                CFG_END(),
        };
        cfg_opt_t timeout_options[] = {
                CFG_INT("guest-driver", 60, CFGF_NONE),
                CFG_INT("unplug", 60, CFGF_NONE),
                CFG_INT("lease", 300, CFGF_NONE),
                CFG_INT("back-off", 60, CFGF_NONE),
                CFG_END(),
        };
        cfg_opt_t scarcity_options[] = {
                CFG_BOOL("preempt", cfg_true, CFGF_NONE),
                CFG_INT("margin", 1, CFGF_NONE),
                CFG_INT("stay", 60, CFGF_NONE),
                CFG_INT("moves-at-once", 4, CFGF_NONE),
                CFG_INT("moves-per-minute", 60, CFGF_NONE),
                CFG_INT("failures", 10, CFGF_NONE),
                CFG_INT("failures-within", 300, CFGF_NONE),
                CFG_INT("freeze", 600, CFGF_NONE),
                CFG_INT("memory-reserve", 5, CFGF_NONE),
                CFG_END(),
        };
        cfg_opt_t root_options[] = {
                CFG_STR("libvirt-uri", NULL, CFGF_NODEFAULT),
                CFG_STR("group", NULL, CFGF_NODEFAULT),
                CFG_SEC("switch", switch_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
                CFG_SEC("scarcity", scarcity_options, CFGF_NONE),
                CFG_SEC("timeouts", timeout_options, CFGF_NONE),
                CFG_END(),
        };
        _cleanup_(config_freep) struct config *config = NULL;
        _cleanup_free_ char *text = NULL;
        struct vswitch_error unused;
        cfg_t *root;
        int r;

        r = source_read(path, &text, error);
        if (r >= 0)
                r = source_prepare(text, path, error);
        if (r < 0)
                return r;

        config = calloc(1, sizeof(*config));
        root = config ? cfg_init(root_options, CFGF_NONE) : NULL;
        if (!root)
                return vswitch_error_set(error, -ENOMEM, "out of memory");
        report_to.path = path;
        report_to.error = error ?: &unused;
        report_to.failed = false;
        cfg_set_error_function(root, report);
        set_checks(root);
        r = load(root, text, config);
        cfg_free(root);
        report_to.path = NULL;
        report_to.error = NULL;
        if (r < 0)
                return report_to.failed ? r : vswitch_error_set(error, r, "%s: %s", path, strerror(-r));
        *ret = TAKE_PTR(config);
        return 0;
}

void config_free(struct config *config)
{
        if (!config)
                return;
        for (size_t i = 0; i < config->switches_count; i++) {
                struct config_switch *switch_ = &config->switches[i];

                for (size_t k = 0; k < switch_->uplinks_count; k++)
                        free(switch_->uplinks[k]);
                free(switch_->uplinks);
                free(switch_->bridge);
                free(switch_->name);
        }
        free(config->switches);
        free(config->libvirt_uri);
        free(config->group);
        free(config);
}

void config_freep(struct config **config)
{
        config_free(*config);
}
