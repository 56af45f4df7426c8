/**
 * The cluster's address ranges for the agents' handshake. Pure. Remote addresses outside are folded to prefixes by the agents,
 * so every address that must stay a single one has to lie inside.
 */
import { addressKey, keyAddress, maskAddress, parseAddress, parseCidr, v6Key, isV4, type Cidr } from '../../lib/ip.ts';
import type { AddressRange } from '../../proto/report.ts';
import { CidrSet, isPrivate, neighbourhood } from './cluster-prefixes.ts';
import type { NodeRecord, PodRecord, ServiceRecord } from './model.ts';

export interface RangeContents {
  nodes(): Iterable<NodeRecord>;
  pods(): Iterable<PodRecord>;
  services(): Iterable<ServiceRecord>;
}

/** The agent walks them in the kernel (an LPM map); more than this says that addresses should have been aggregated. */
export const MAX_RANGES = 1000;
/** Aggregation ends here: an IPv4 /8, an IPv6 /16. */
const COARSEST_V4 = 96 + 8;
const COARSEST_V6 = 16;

/**
 * Pod CIDRs of nodes; where pods have addresses outside of these (or nodes carry none), the /24s or /64s of them; node addresses;
 * Service addresses, private ones with their /24 or /64 so that a new Service lies inside too. Overlaps are removed, neighbours
 * merged, and the longest prefixes widened until at most `max` remain. Sorted. Walks all pods: call it on changes, not per report.
 */
export function clusterRanges(contents: RangeContents, max = MAX_RANGES): AddressRange[] {
  const ranges: Cidr[] = [];
  const podCidrs = new CidrSet();
  for (const node of contents.nodes()) {
    for (const text of node.podCidrs) {
      const cidr = parseCidr(text);
      if (cidr === undefined) continue;
      podCidrs.add(cidr);
      ranges.push(cidr);
    }
    for (const text of node.addresses) {
      const address = parseAddress(text);
      if (address !== undefined) ranges.push({ address, prefixLength: 128 });
    }
  }
  const derived = new Set<number | string>();
  for (const pod of contents.pods()) {
    if (pod.hostNetwork) continue;
    for (const text of pod.addresses) {
      const address = parseAddress(text);
      if (address === undefined) continue;
      const near = neighbourhood(addressKey(address));
      if (!derived.has(near) && !podCidrs.contains(address)) derived.add(near);
    }
  }
  for (const service of contents.services()) {
    for (const text of service.addresses) {
      const address = parseAddress(text);
      if (address === undefined) continue;
      const key = addressKey(address);
      if (isPrivate(key)) derived.add(neighbourhood(key));
      else ranges.push({ address, prefixLength: 128 });
    }
  }
  for (const near of derived) {
    ranges.push(
      typeof near === 'number'
        ? { address: keyAddress(near), prefixLength: 96 + 24 }
        : { address: keyAddress(near + '\0'.repeat(8)), prefixLength: 64 },
    );
  }
  return aggregate(ranges, max);
}

interface KeyedCidr extends Cidr {
  /** The 16 bytes as text: sorts as they do. */
  readonly key: string;
}

/** Fewest prefixes that cover the given ones; the longest are widened, a bit at a time, while there are more than `max`. */
export function aggregate(cidrs: readonly Cidr[], max: number): Cidr[] {
  let current = merge(cidrs.map((cidr) => ({ ...cidr, key: v6Key(cidr.address, 0) })));
  for (let longest = 127; current.length > max && longest >= COARSEST_V6; longest--) {
    current = merge(
      current.map((cidr) => {
        const limit = Math.max(longest, isV4(cidr.address) ? COARSEST_V4 : COARSEST_V6);
        return cidr.prefixLength <= limit ? cidr : cut(cidr, limit);
      }),
    );
  }
  return current.slice(0, max).map(({ address, prefixLength }) => ({ address, prefixLength }));
}

function cut(cidr: Cidr, prefixLength: number): KeyedCidr {
  const address = maskAddress(cidr.address, prefixLength);
  return { address, prefixLength, key: v6Key(address, 0) };
}

function covers(outer: KeyedCidr, inner: KeyedCidr): boolean {
  return outer.prefixLength <= inner.prefixLength && cut(inner, outer.prefixLength).key === outer.key;
}

/** Without those that another one covers, and with both halves of a prefix as the whole. */
function merge(cidrs: readonly KeyedCidr[]): KeyedCidr[] {
  const sorted = [...cidrs].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.prefixLength - b.prefixLength));
  const kept: KeyedCidr[] = [];
  for (const cidr of sorted) {
    let next = cidr;
    if (kept.length > 0 && covers(kept.at(-1)!, next)) continue;
    for (;;) {
      const last = kept.at(-1);
      if (last === undefined || last.prefixLength !== next.prefixLength || next.prefixLength === 0) break;
      const parent = cut(next, next.prefixLength - 1);
      // Never merged out of IPv4 into IPv6.
      if (parent.key !== last.key || (next.prefixLength === 96 && isV4(next.address))) break;
      kept.pop();
      next = parent;
    }
    kept.push(next);
  }
  return kept;
}
