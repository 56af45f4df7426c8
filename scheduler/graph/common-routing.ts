import type { ServiceRecord } from '../cluster/model.ts';
import { declaredRouting } from '../cluster/service-routing.ts';
import type { RoutingClass } from '../placement/routing.ts';

/**
 * How clients of a workload are sent to it by the Services before it. Which of them a connection came through is not
 * measured: where they differ, by none. Headless ones send nobody.
 */
export function commonRouting(services: readonly ServiceRecord[], minor: number | undefined): RoutingClass {
  const routings = new Set(
    services.filter(({ addresses }) => addresses.length > 0).map((service) => declaredRouting(service, minor)),
  );
  const [only] = routings;
  return routings.size === 1 && only !== undefined ? only : 'random';
}
