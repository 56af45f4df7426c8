import { IPPROTO_TCP, IPPROTO_UDP } from '../../proto/report.ts';

/** Protocol and family of an edge in one small integer: IP protocol number * 2, plus 1 for IPv6. */
export function edgeCode(protocol: number, ipv6: boolean): number {
  return protocol * 2 + (ipv6 ? 1 : 0);
}

export type Family = 'IPv4' | 'IPv6';

export function familyOf(code: number): Family {
  return (code & 1) === 1 ? 'IPv6' : 'IPv4';
}

/** As Kubernetes writes them ("TCP", "UDP"); others by number. */
export function protocolOf(code: number): string {
  const protocol = code >> 1;
  if (protocol === IPPROTO_TCP) return 'TCP';
  if (protocol === IPPROTO_UDP) return 'UDP';
  return String(protocol);
}
