import { declaredRouting } from '../cluster/service-routing.ts';
import { namespaceOf } from '../placement/workload-kind.ts';
import type { SurveyedEdge } from './routing-survey.ts';
import type { StructureIndex } from './structure-index.ts';

/** A Service that asks for near endpoints, and gets any. */
export interface IgnoredDistribution {
  /** "namespace/name" */
  readonly service: string;
  readonly trafficDistribution: string;
  /** Who was seen to be sent anywhere. */
  readonly edge: SurveyedEdge;
}

/**
 * Service proxies other than kube-proxy, and kube-proxy of other versions or without EndpointSlice hints, choose at random whatever a
 * Service says. Seen by an edge whose connections stay near as seldom as chance gives.
 */
export function ignoredDistributions(
  index: StructureIndex,
  edges: readonly SurveyedEdge[],
  minor: number | undefined,
): IgnoredDistribution[] {
  const ignored = new Map<string, IgnoredDistribution>();
  for (const edge of edges) {
    if (edge.routing !== 'random') continue;
    const namespace = namespaceOf(edge.server);
    const services = index.before(namespace, edge.server).filter(({ addresses }) => addresses.length > 0);
    // Of several it is not known through which one they came.
    if (services.some((service) => declaredRouting(service, minor) === 'random')) continue;
    for (const { name, trafficDistribution } of services) {
      const service = `${namespace}/${name}`;
      if (trafficDistribution === undefined || ignored.has(service)) continue;
      ignored.set(service, { service, trafficDistribution, edge });
    }
  }
  return [...ignored.values()];
}

/** "shop/cart (PreferSameNode): of 400 connections of shop/Deployment/web 26 % stayed near, 25 % by chance" */
export function ignoredText({ service, trafficDistribution, edge }: IgnoredDistribution): string {
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  return (
    `${service} (${trafficDistribution}): of ${Math.round(edge.connections)} connections of ${edge.client} ` +
    `${percent(edge.share)} stayed near, ${percent(edge.chance)} by chance`
  );
}
