/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The hook runs between libvirt and its user, several times for each guest that starts; loading an XML parser would
 * cost more than everything else it does. The one question it has for the XML is about the nesting
 *
 *     <domain> <devices> <hostdev managed='no'> <teaming type='transient' ...>
 *
 * so it walks from tag to tag and counts the depth. `matched` is how many of these four the walk is inside of:
 * the same words elsewhere (in <metadata>, in a comment) do not count.
 */

#include "hooks/teamed_vf.h"

#include <string.h>

#define SPACE " \t\r\n"

/* The tag's text up to its '>', past quoted values; NULL when it is cut off. */
static const char *tag_end(const char *tag)
{
        char quote = '\0';

        for (; *tag; tag++) {
                if (quote) {
                        if (*tag == quote)
                                quote = '\0';
                } else if (*tag == '\'' || *tag == '"')
                        quote = *tag;
                else if (*tag == '>')
                        return tag;
        }
        return NULL;
}

static bool is_named(const char *tag, const char *name)
{
        return strcspn(tag, SPACE "/>") == strlen(name) && strncmp(tag, name, strlen(name)) == 0;
}

/* Does the tag have name='value' or name="value"? `end` is its '>', which is in no quotes. */
static bool has_attribute(const char *tag, const char *end, const char *name, const char *value)
{
        const char *at = tag + strcspn(tag, SPACE "/>");

        for (;;) {
                const char *key = at + strspn(at, SPACE), *text, *close;
                size_t key_length = strcspn(key, SPACE "=/>'\"");

                at = key + key_length;
                at += strspn(at, SPACE);
                if (key_length == 0 || *at != '=')
                        return false;
                at++;
                at += strspn(at, SPACE);
                if (*at != '\'' && *at != '"')
                        return false;
                text = at + 1;
                close = memchr(text, *at, (size_t) (end - text));
                if (!close)
                        return false;
                if (key_length == strlen(name) && strncmp(key, name, key_length) == 0)
                        return (size_t) (close - text) == strlen(value) && strncmp(text, value, strlen(value)) == 0;
                at = close + 1;
        }
}

/* Is this the tag that goes on with the nesting at that depth? */
static bool matches(unsigned depth, const char *tag, const char *end)
{
        switch (depth) {
        case 0:
                return is_named(tag, "domain");
        case 1:
                return is_named(tag, "devices");
        case 2:
                /* managed='yes' is libvirt's own to bind and to give back; without the attribute it is 'no'. */
                return is_named(tag, "hostdev") && !has_attribute(tag, end, "managed", "yes");
        case 3:
                return is_named(tag, "teaming") && has_attribute(tag, end, "type", "transient");
        default:
                return false;
        }
}

/* Past what is no tag: comments, CDATA, declarations. NULL: nothing, it is a tag. */
static const char *skip_markup(const char *at)
{
        static const struct {
                const char *begin, *end;
        } kinds[] = { { "<!--", "-->" }, { "<![CDATA[", "]]>" }, { "<?", "?>" }, { "<!", ">" } };

        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
                if (strncmp(at, kinds[i].begin, strlen(kinds[i].begin)) == 0) {
                        const char *end = strstr(at + strlen(kinds[i].begin), kinds[i].end);

                        return end ? end + strlen(kinds[i].end) : at + strlen(at);
                }
        return NULL;
}

bool teamed_vf_present(const char *xml)
{
        unsigned depth = 0, matched = 0;

        for (const char *at = strchr(xml, '<'); at; at = strchr(at, '<')) {
                const char *skipped = skip_markup(at), *end;

                if (skipped) {
                        at = skipped;
                        continue;
                }
                at++;
                end = tag_end(at);
                if (!end)
                        return false;
                if (*at == '/') {
                        depth -= depth > 0;
                        if (matched > depth)
                                matched = depth;
                } else {
                        bool next = matched == depth && matches(depth, at, end);

                        if (next && depth == 3)
                                return true;
                        if (end[-1] != '/') {
                                depth++;
                                matched += next;
                        }
                }
                at = end;
        }
        return false;
}
