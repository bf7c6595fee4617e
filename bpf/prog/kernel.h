/* SPDX-License-Identifier: AGPL-3.0-only OR GPL-2.0-only */
/* The kernel's and libbpf's headers, in the order they need: libbpf's use the kernel's types
 * without including them. */
#ifndef MARCHPROXY_BPF_PROG_KERNEL_H
#define MARCHPROXY_BPF_PROG_KERNEL_H

/* clang-format off */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
/* clang-format on */

#endif
