import { keyAddress, maskAddress, v6Key, type AddressKey, type Cidr } from '../../lib/ip.ts';

/** What an address without an owner is told by: /24 for IPv4, /64 for IPv6, the least that clusters hand out to a node. */
export function neighbourhood(key: AddressKey): AddressKey {
  return typeof key === 'number' ? (key & 0xffffff00) >>> 0 : key.slice(0, 8);
}

/** RFC 1918, RFC 6598, link-local and fc00::/7: only there may a Service's neighbours be taken for the cluster's. */
export function isPrivate(key: AddressKey): boolean {
  if (typeof key === 'string') {
    const first = key.charCodeAt(0);
    return (first & 0xfe) === 0xfc || (first === 0xfe && (key.charCodeAt(1) & 0xc0) === 0x80);
  }
  return (
    key >>> 24 === 10 || key >>> 20 === 0xac1 || key >>> 16 === 0xc0a8 || key >>> 22 === 0x191 || key >>> 16 === 0xa9fe
  );
}

function isLoopback(key: AddressKey): boolean {
  return typeof key === 'number' ? key >>> 24 === 127 : key === '\0'.repeat(15) + '\x01';
}

/** Prefixes that are looked up by hash, a look-up per distinct length: clusters have one or two. A prefix counts as often as it was added. */
export class CidrSet {
  private readonly byLength = new Map<number, Map<string, number>>();

  add(cidr: Cidr): void {
    let counts = this.byLength.get(cidr.prefixLength);
    if (counts === undefined) this.byLength.set(cidr.prefixLength, (counts = new Map<string, number>()));
    const key = v6Key(cidr.address, 0);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }

  remove(cidr: Cidr): void {
    const counts = this.byLength.get(cidr.prefixLength);
    const key = v6Key(cidr.address, 0);
    const count = counts?.get(key);
    if (counts === undefined || count === undefined) return;
    if (count > 1) counts.set(key, count - 1);
    else counts.delete(key);
    if (counts.size === 0) this.byLength.delete(cidr.prefixLength);
  }

  contains(address: Uint8Array): boolean {
    for (const [length, counts] of this.byLength) {
      if (counts.has(v6Key(maskAddress(address, length), 0))) return true;
    }
    return false;
  }
}

/** The ranges of the cluster, kept incrementally: pod CIDRs of nodes, and the neighbourhoods of pod and Service addresses. */
export class ClusterPrefixes {
  private readonly podCidrs = new CidrSet();
  private readonly neighbourhoods = new Map<AddressKey, number>();
  private changed = false;

  /** Whether anything changed since the last call. */
  takeChanged(): boolean {
    const { changed } = this;
    this.changed = false;
    return changed;
  }

  touch(): void {
    this.changed = true;
  }

  addPodAddress(key: AddressKey): void {
    this.count(neighbourhood(key), 1);
  }
  removePodAddress(key: AddressKey): void {
    this.count(neighbourhood(key), -1);
  }

  setServiceAddress(key: AddressKey, present: boolean): void {
    this.changed = true;
    if (isPrivate(key)) this.count(neighbourhood(key), present ? 1 : -1);
  }

  setPodCidr(cidr: Cidr, present: boolean): void {
    if (present) this.podCidrs.add(cidr);
    else this.podCidrs.remove(cidr);
    this.changed = true;
  }

  contains(key: AddressKey): boolean {
    if (isLoopback(key) || this.neighbourhoods.has(neighbourhood(key))) return true;
    return this.podCidrs.contains(keyAddress(key));
  }

  private count(neighbours: AddressKey, by: 1 | -1): void {
    const before = this.neighbourhoods.get(neighbours) ?? 0;
    const now = before + by;
    if (now <= 0) this.neighbourhoods.delete(neighbours);
    else this.neighbourhoods.set(neighbours, now);
    if (now <= 0 || before === 0) this.changed = true;
  }
}
