/* The key that stable addresses are made with (autoconf.h). Control path. */
#ifndef POLAR_NET_AUTOCONF_KEY_H
#define POLAR_NET_AUTOCONF_KEY_H

#include <stdint.h>

/* Of 32 hex digits, or with "" of this machine's identity (/etc/machine-id), so that addresses outlive a restart; and
 * of the interface's name. Neither shows in it. 0, -EINVAL: other text, or -errno: the machine has no identity. */
int net_autoconf_key(const char *hex, const char *interface, uint64_t key[2]);

#endif
