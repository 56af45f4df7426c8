import type { LabPod, LabState } from '../state.ts';

/** Id of an edge in plans and counters: its place in the scenario. */
export const edgeId = (index: number): string => `e${index}`;

/** The plan of an idle process that only holds a namespace. */
export const HOLDER_PLAN = 'generation 1\n';

/** What one pod serves and asks for, in the format that pod.c describes. Pure. */
export function trafficPlan(state: LabState, pod: LabPod): string {
  const lines = [`generation ${state.generation}`];
  if (state.paused) lines.push('paused');
  const workload = state.scenario.workloads.find((w) => w.name === pod.workload);
  if (workload?.service !== undefined) lines.push(`listen ${workload.service.targetPort}`);
  const replicas = Math.max(1, workload?.placement.length ?? 1);
  state.scenario.edges.forEach((edge, i) => {
    if (edge.client !== pod.workload) return;
    const service = state.services.find((s) => s.workload === edge.server);
    if (service === undefined) return;
    const rate = (edge.requestsPerSecond * state.rateFactor) / replicas;
    const fields = [
      edgeId(i),
      service.clusterIP,
      service.port,
      edge.mode,
      // Not 1e-7, and not 0, which would mean flat out.
      edge.requestsPerSecond === 0 ? '0' : Math.max(rate, 0.0001).toFixed(6),
      edge.requestBytes,
      edge.responseBytes,
      edge.connections,
      edge.redialMs,
      edge.close,
    ];
    lines.push(`edge ${fields.join(' ')}`);
  });
  return `${lines.join('\n')}\n`;
}
