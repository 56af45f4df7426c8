import { closeSync } from 'node:fs';
import { EINVAL, ENODEV, ENOENT, bpfError } from './errno.ts';
import { programName } from './info.ts';
import { addressOf, libbpf } from './libbpf.ts';

/** enum bpf_attach_type of linux/bpf.h: tcx since Linux 6.6, netkit since 6.7. */
const ATTACH_TYPE = { ingress: 46, egress: 47, primary: 54, peer: 55 } as const;

/** Places of a device where programs run one after another. */
export type ChainPoint = keyof typeof ATTACH_TYPE;

export interface ChainProgram {
  readonly id: number;
  /** At most 15 characters; absent: the program is gone, or this process may not look (it needs CAP_SYS_ADMIN). */
  readonly name?: string;
}

/** struct bpf_prog_query_opts of libbpf.h up to prog_attach_flags: the part that all versions of libbpf 1.x share. */
const QUERY_OPTS_SIZE = 40;
/** BPF_MPROG_MAX of kernel/bpf/mprog.c. */
const MAX_PROGRAMS = 64;

/**
 * The programs at one point of a device of this thread's namespace, in the order in which they run; undefined: the
 * kernel, or the device, has no such point.
 * @throws NetloomError BPF_SYSTEM_FAILED, BPF_NOT_PERMITTED
 */
export function chainPrograms(ifindex: number, point: ChainPoint): ChainProgram[] | undefined {
  const ids = Buffer.alloc(4 * MAX_PROGRAMS);
  const opts = Buffer.alloc(QUERY_OPTS_SIZE);
  opts.writeBigUInt64LE(BigInt(QUERY_OPTS_SIZE), 0);
  opts.writeBigUInt64LE(addressOf(ids), 16);
  opts.writeUInt32LE(MAX_PROGRAMS, 24);
  // libbpf before 1.3 calls the argument a descriptor; the kernel takes what stands there as the index.
  const status = libbpf().bpf_prog_query_opts(ifindex, ATTACH_TYPE[point], opts);
  if (status === -ENOENT) return [];
  // Before Linux 6.6; a netkit point of another device; a device that is gone.
  if (status === -EINVAL || status === -ENODEV) return undefined;
  if (status < 0) {
    throw bpfError('BPF_SYSTEM_FAILED', `listing the programs at ${point}`, status, { place: `interface ${ifindex}` });
  }
  return Array.from({ length: opts.readUInt32LE(24) }, (_, i) => describe(ids.readUInt32LE(4 * i)));
}

/** The name of a program by its id; undefined as for `ChainProgram.name`. */
export function programNameOf(id: number): string | undefined {
  const fd = libbpf().bpf_prog_get_fd_by_id(id);
  if (fd < 0) return undefined;
  try {
    return programName(fd);
  } finally {
    closeSync(fd);
  }
}

function describe(id: number): ChainProgram {
  const name = programNameOf(id);
  return name === undefined ? { id } : { id, name };
}
