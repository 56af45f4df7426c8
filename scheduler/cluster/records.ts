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

/** Whether two values of plain data are equal; a field that is undefined equals one that is absent. */
export function sameData(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const x = a as Record<string, unknown>;
  const y = b as Record<string, unknown>;
  for (const key in x) if (!sameData(x[key], y[key])) return false;
  for (const key in y) if (x[key] === undefined && y[key] !== undefined) return false;
  return true;
}
