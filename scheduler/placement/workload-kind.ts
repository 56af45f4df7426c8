/** Owner kinds whose pods stand where they must: DaemonSets; Node owns static (mirror) pods. */
const ONE_PER_NODE_KINDS: ReadonlySet<string> = new Set(['DaemonSet', 'Node']);

/** "namespace/Kind/name" -> namespace. */
export function namespaceOf(workloadKey: string): string {
  return workloadKey.slice(0, workloadKey.indexOf('/'));
}

/** "namespace/Kind/name" -> Kind. */
export function kindOf(workloadKey: string): string {
  const start = workloadKey.indexOf('/') + 1;
  return workloadKey.slice(start, workloadKey.indexOf('/', start));
}

export function isOnePerNode(workloadKey: string): boolean {
  return ONE_PER_NODE_KINDS.has(kindOf(workloadKey));
}
