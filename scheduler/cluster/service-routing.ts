import type { ServiceRecord } from './model.ts';
import type { RoutingClass } from '../placement/routing.ts';

/** Minor versions from which on kube-proxy heeds a trafficDistribution by default (KEP-4444: beta in 1.31; KEP-3015: beta in 1.34). */
const SINCE: Readonly<Record<string, { readonly minor: number; readonly routing: RoutingClass }>> = {
  PreferClose: { minor: 31, routing: 'same-zone' },
  PreferSameZone: { minor: 34, routing: 'same-zone' },
  PreferSameNode: { minor: 34, routing: 'same-node' },
};

/**
 * How kube-proxy is told to choose among the endpoints of a Service.
 * @param minor of the cluster's Kubernetes version 1.x, the least of its nodes; undefined: not known, taken as new
 */
export function declaredRouting(
  { internalLocal, trafficDistribution }: Pick<ServiceRecord, 'internalLocal' | 'trafficDistribution'>,
  minor: number | undefined,
): RoutingClass {
  // GA since 1.26; a node without an endpoint drops what its pods send.
  if (internalLocal === true && (minor === undefined || minor >= 22)) return 'same-node';
  const known = trafficDistribution === undefined ? undefined : SINCE[trafficDistribution];
  return known !== undefined && (minor === undefined || minor >= known.minor) ? known.routing : 'random';
}

/** "v1.34.1+k3s1" -> 34; undefined: it is not of this form. */
export function minorOf(version: string): number | undefined {
  const match = /^v?1\.(\d{1,3})(?:\D|$)/.exec(version);
  return match === null ? undefined : Number(match[1]);
}
