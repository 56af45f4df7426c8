import { loadScenario } from '../../lab/scenario-load.ts';
import type { Scenario } from '../../lab/scenario.ts';
import { parseMilliQuantity } from '../../lib/quantity.ts';
import type { ClusterState } from '../../scheduler/cluster/state.ts';
import type { Api } from './api.ts';
import type { TrafficEdge } from './traffic-feed.ts';

/** Online Boutique as the lab knows it, one replica of each workload. */
export class Boutique {
  readonly workloads: readonly { readonly name: string; readonly cpu: string; readonly memory: string }[];
  readonly edges: readonly TrafficEdge[];

  private constructor({ workloads, edges }: Scenario) {
    this.workloads = workloads;
    this.edges = edges.map((edge) => ({
      client: edge.client,
      server: edge.server,
      bytesOut: edge.requestsPerSecond * edge.requestBytes,
      bytesIn: edge.requestsPerSecond * edge.responseBytes,
    }));
  }

  static async load(): Promise<Boutique> {
    return new Boutique(await loadScenario('online-boutique'));
  }

  /** CPU that all pods of a copy request, in thousandths. */
  get milliCpu(): number {
    return this.workloads.reduce((sum, { cpu }) => sum + (parseMilliQuantity(cpu) ?? 0), 0);
  }

  deployment(name: string, namespace: string, schedulerName: string): object {
    const { cpu, memory } = this.workloads.find((workload) => workload.name === name)!;
    const labels = { app: name };
    return {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            schedulerName,
            terminationGracePeriodSeconds: 0,
            containers: [{ name: 'server', image: 'x', resources: { requests: { cpu, memory } } }],
          },
        },
      },
    };
  }

  /** Share of the bytes between pods that stays on a node, by where the pods of a namespace stand and the known matrix. */
  localShare(state: ClusterState, namespace: string, domain: (node: string) => string | undefined): number {
    let [local, all] = [0, 0];
    for (const { client, server, bytesOut, bytesIn } of this.edges) {
      const bytes = bytesOut + bytesIn;
      all += bytes;
      const places = [client, server].map((name) => {
        const [node] = state.workload(`${namespace}/Deployment/${name}`)?.placedByNode.keys() ?? [];
        return node === undefined ? undefined : domain(node);
      });
      if (places[0] !== undefined && places[0] === places[1]) local += bytes;
    }
    return local / all;
  }
}

export async function deleteDeployments(api: Api, namespace: string): Promise<void> {
  const policy = { propagationPolicy: 'Background' };
  await api.call('DELETE', `/apis/apps/v1/namespaces/${namespace}/deployments`, policy);
}
