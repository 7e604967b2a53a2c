/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * Does this domain's XML have a VF in the way in which vswitch attaches them: a plain <hostdev managed='no'> with
 * <teaming type='transient'>? One pass over the text, no parser to load. Truncated or broken XML is judged by what
 * is there.
 */
bool teamed_vf_present(const char *xml);
