import type { ClusterRecord } from './model.ts';

/** The identity of a record within one moment of a cluster: there is one pod of a name, though its uid changes over time. */
export function recordKey(record: ClusterRecord): string {
  switch (record.type) {
    case 'node':
    case 'namespace':
      return `${record.type}//${record.name}`;
    case 'controller':
      return `controller/${record.kind}/${record.namespace}/${record.name}`;
    default:
      return `${record.type}/${record.namespace}/${record.name}`;
  }
}
