/** Structs of libbpf.h by which it sets filters of clsact. */

/** enum bpf_tc_attach_point; both together name the qdisc itself. */
export const TC_POINT = { ingress: 1, egress: 2 } as const;
export const TC_POINT_BOTH = 3;

/** Lower runs earlier, and a newer filter of the same priority runs before the older ones (net/sched/cls_bpf.c). */
export const CLSACT_PRIORITY = 1;
/** "NL": by it we find our own filter again, also after a crash, and never touch another's. */
export const CLSACT_HANDLE = 0x4e4c;

const TC_F_REPLACE = 1;
const TC_HOOK_SIZE = 24;
const TC_OPTS_SIZE = 32;

/** struct bpf_tc_hook. */
export function tcHook(ifindex: number, attachPoint: number): Buffer {
  const hook = Buffer.alloc(TC_HOOK_SIZE);
  hook.writeBigUInt64LE(BigInt(TC_HOOK_SIZE), 0);
  hook.writeInt32LE(ifindex, 8);
  hook.writeUInt32LE(attachPoint, 12);
  return hook;
}

/** struct bpf_tc_opts; prog_id at 16 is filled in by libbpf. */
export function tcOpts({ programFd = 0, replace = false }: { programFd?: number; replace?: boolean }): Buffer {
  const opts = Buffer.alloc(TC_OPTS_SIZE);
  opts.writeBigUInt64LE(BigInt(TC_OPTS_SIZE), 0);
  opts.writeInt32LE(programFd, 8);
  opts.writeUInt32LE(replace ? TC_F_REPLACE : 0, 12);
  opts.writeUInt32LE(CLSACT_HANDLE, 20);
  opts.writeUInt32LE(CLSACT_PRIORITY, 24);
  return opts;
}
