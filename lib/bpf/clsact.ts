import { EEXIST, EINVAL, ENODEV, ENOENT, bpfError } from './errno.ts';
import { libbpf } from './libbpf.ts';
import { hasClsactFilters } from './tc-filters.ts';
import { CLSACT_HANDLE, TC_POINT, TC_POINT_BOTH, tcHook, tcOpts } from './tc-hook.ts';
import type { BpfProgram, TcDirection } from './types.ts';

/**
 * Filters of clsact that outlive the process, for kernels without tcx. There is nothing to pin: a filter stays until
 * somebody takes it away, or its device goes. Ours is known by its handle and priority.
 */

/**
 * First of the filters, in the place of one of ours. @returns whether the clsact qdisc was made for it
 * @throws NetloomError BPF_ATTACH_FAILED, BPF_NOT_PERMITTED
 */
export function setClsactFilter(program: BpfProgram, ifindex: number, direction: TcDirection): { madeQdisc: boolean } {
  const place = `interface ${ifindex}, ${direction}`;
  const made = libbpf().bpf_tc_hook_create(tcHook(ifindex, TC_POINT_BOTH));
  if (made < 0 && made !== -EEXIST) {
    throw bpfError('BPF_ATTACH_FAILED', `program ${program.name}: no clsact qdisc`, made, { place });
  }
  const status = libbpf().bpf_tc_attach(
    tcHook(ifindex, TC_POINT[direction]),
    tcOpts({ programFd: program.fd, replace: true }),
  );
  if (status < 0) {
    if (made === 0) removeEmptyClsact(ifindex);
    throw bpfError('BPF_ATTACH_FAILED', `program ${program.name} cannot be attached`, status, { place });
  }
  return { madeQdisc: made === 0 };
}

/** Id of the program of our filter; undefined: there is none. */
export function clsactProgramId(ifindex: number, direction: TcDirection): number | undefined {
  const query = tcOpts({});
  return libbpf().bpf_tc_query(tcHook(ifindex, TC_POINT[direction]), query) < 0 ? undefined : query.readUInt32LE(16);
}

/** Takes our filter away; nothing if there is none. */
export function removeClsactFilter(ifindex: number, direction: TcDirection): void {
  const status = libbpf().bpf_tc_detach(tcHook(ifindex, TC_POINT[direction]), tcOpts({}));
  if (status >= 0 || status === -ENOENT || status === -EINVAL || status === -ENODEV) return;
  throw bpfError('BPF_SYSTEM_FAILED', 'a filter cannot be removed', status, {
    place: `interface ${ifindex}, ${direction}, handle ${CLSACT_HANDLE.toString(16)}`,
  });
}

/**
 * Takes the clsact qdisc away if nobody has a filter there, and tells whether it did. A filter that somebody adds between the look and the deletion
 * would be lost: a window of microseconds.
 */
export function removeEmptyClsact(ifindex: number): boolean {
  if (hasClsactFilters(ifindex)) return false;
  libbpf().bpf_tc_hook_destroy(tcHook(ifindex, TC_POINT_BOTH));
  return true;
}
