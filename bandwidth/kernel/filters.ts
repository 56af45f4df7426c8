import { CLSACT_HANDLE } from '../../lib/bpf/tc-hook.ts';
import { dumpFilters, dumpLinks, type NetlinkSocket } from '../../lib/netlink/index.ts';
import type { Hook, Role } from '../enforce/types.ts';

/** Names of our programs, as libbpf writes them into a filter: "from_pod:[123]". */
const OUR_FILTER = /^(from_pod|to_pod|leave):\[/;

/** Filters of clsact that are ours, on any device: they tell it themselves. @throws as NetlinkSocket.dump */
export function findOurFilters(socket: NetlinkSocket): Hook[] {
  return dumpLinks(socket).flatMap(({ ifindex }) =>
    (['ingress', 'egress'] as const).flatMap((direction): Hook[] => {
      for (const { handle, bpf } of dumpFilters(socket, ifindex, direction)) {
        const role = handle === CLSACT_HANDLE ? OUR_FILTER.exec(bpf?.name ?? '')?.[1] : undefined;
        if (role !== undefined) return [{ ifindex, role: role as Role }];
      }
      return [];
    }),
  );
}
