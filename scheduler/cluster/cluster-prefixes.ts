import { cidrContains, formatCidr, keyAddress, type AddressKey, type Cidr } from '../../lib/ip.ts';

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
    key >>> 24 === 10 ||
    key >>> 20 === 0xac1 ||
    key >>> 16 === 0xc0a8 ||
    key >>> 22 === 0x191 ||
    key >>> 16 === 0xa9fe
  );
}

function isLoopback(key: AddressKey): boolean {
  return typeof key === 'number' ? key >>> 24 === 127 : key === '\0'.repeat(15) + '\x01';
}

/** The ranges of the cluster, kept incrementally: pod CIDRs of nodes, and the neighbourhoods of pod and Service addresses. */
export class ClusterPrefixes {
  private readonly podCidrs = new Map<string, { cidr: Cidr; count: number }>();
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
    const text = formatCidr(cidr);
    const known = this.podCidrs.get(text);
    const count = (known?.count ?? 0) + (present ? 1 : -1);
    if (count <= 0) this.podCidrs.delete(text);
    else this.podCidrs.set(text, { cidr, count });
    this.changed = true;
  }

  contains(key: AddressKey): boolean {
    if (isLoopback(key) || this.neighbourhoods.has(neighbourhood(key))) return true;
    const bytes = keyAddress(key);
    for (const { cidr } of this.podCidrs.values()) if (cidrContains(cidr, bytes)) return true;
    return false;
  }

  private count(neighbours: AddressKey, by: 1 | -1): void {
    const before = this.neighbourhoods.get(neighbours) ?? 0;
    const now = before + by;
    if (now <= 0) this.neighbourhoods.delete(neighbours);
    else this.neighbourhoods.set(neighbours, now);
    if (now <= 0 || before === 0) this.changed = true;
  }
}
