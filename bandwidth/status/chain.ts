import { chainPrograms, type TcDirection } from '../../lib/bpf/index.ts';
import { dumpFilters, type NetlinkSocket } from '../../lib/netlink/index.ts';

export interface GateDevice {
  readonly ifindex: number;
  readonly name: string;
}

/** What runs at a device before a program of ours. */
export interface Before {
  /** The first of those, in words; undefined: nobody. */
  readonly who: string | undefined;
  /** false: our program is not there. */
  readonly inPlace: boolean;
}

/** @param ours id of our program. @throws as NetlinkSocket.dump, chainPrograms */
export function whoIsBefore(
  socket: NetlinkSocket,
  { ifindex, name }: GateDevice,
  point: TcDirection,
  ours: number,
): Before {
  const chain = chainPrograms(ifindex, point) ?? [];
  const at = chain.findIndex(({ id }) => id === ours);
  const [first] = at < 0 ? chain : chain.slice(0, at);
  if (first !== undefined) {
    return { who: `${first.name ?? `program ${first.id}`} (tcx ${point} of ${name})`, inPlace: true };
  }
  if (at >= 0) return { who: undefined, inPlace: true };
  const filters = dumpFilters(socket, ifindex, point);
  const place = filters.findIndex(({ bpf }) => bpf?.programId === ours);
  const [filter] = place < 0 ? filters : filters.slice(0, place);
  if (filter !== undefined) {
    const who = filter.bpf?.name ?? filter.kind;
    return { who: `${who} (filter ${filter.priority} at ${point} of ${name})`, inPlace: true };
  }
  return { who: undefined, inPlace: place >= 0 };
}
