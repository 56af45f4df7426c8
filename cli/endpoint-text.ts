/** How ends of edges are written for people. */
export interface End {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

const SHORT_KINDS: Readonly<Record<string, string>> = {
  Deployment: 'deploy',
  StatefulSet: 'sts',
  DaemonSet: 'ds',
  ReplicaSet: 'rs',
  CronJob: 'cronjob',
  Job: 'job',
  Service: 'svc',
  Pod: 'pod',
  Node: 'node',
  External: 'external',
  Unknown: 'unknown',
};

/** What a table says that has no rows. */
export function emptyText(filter: {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}): string {
  return filter.namespace === undefined && filter.name === undefined
    ? 'no traffic is known yet'
    : 'no traffic that matches is known; without --namespace and --name all is shown';
}

/** "shop/deploy/cart", "node/worker-1", "external/203.0.113.0/24". With `namespace` given, that one is left out. */
export function endText({ kind, namespace, name }: End, omitNamespace?: string): string {
  const short = `${SHORT_KINDS[kind] ?? kind.toLowerCase()}/${name}`;
  return namespace === '' || namespace === omitNamespace ? short : `${namespace}/${short}`;
}

/** The namespace that all ends with one share; it need not be said in every line then. */
export function commonNamespace(ends: Iterable<End>): string | undefined {
  let common: string | undefined;
  for (const { namespace } of ends) {
    if (namespace === '' || namespace === common) continue;
    if (common !== undefined) return undefined;
    common = namespace;
  }
  return common;
}
