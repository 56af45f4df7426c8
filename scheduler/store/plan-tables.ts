import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { NamedPlan } from '../plan/named-plan.ts';

/** The plan that was saved last; undefined: none was. */
export function loadPlan(db: DatabaseSync): NamedPlan | undefined {
  const row = db.prepare('SELECT * FROM plan ORDER BY version DESC LIMIT 1').get();
  if (row === undefined) return undefined;
  const workloads = new NameTable();
  const nodes = new NameTable();
  const targets = db.prepare('SELECT workload, node, replicas FROM plan_target ORDER BY workload, node').all();
  return {
    version: Number(row['version']),
    hash: String(row['hash']),
    madeAtMs: Number(row['made_at_ms']),
    computeSeconds: Number(row['compute_seconds']),
    iterations: Number(row['iterations']),
    localShare: { node: Number(row['local_share_node']), zone: Number(row['local_share_zone']) },
    workload: Int32Array.from(targets, (target) => workloads.indexOf(target['workload'])),
    node: Int32Array.from(targets, (target) => nodes.indexOf(target['node'])),
    count: Int32Array.from(targets, (target) => Number(target['replicas'])),
    workloads: workloads.names,
    nodes: nodes.names,
  };
}

/** Puts the plan in the place of the one before. To be called within a transaction. */
export function writePlan(db: DatabaseSync, plan: NamedPlan): void {
  db.exec('DELETE FROM plan; DELETE FROM plan_target');
  const { version, hash, madeAtMs, computeSeconds, iterations, localShare } = plan;
  db.prepare('INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?, ?)').run(
    version,
    hash,
    madeAtMs,
    computeSeconds,
    iterations,
    localShare.node,
    localShare.zone,
  );
  const put = db.prepare('INSERT INTO plan_target (workload, node, replicas) VALUES (?, ?, ?)');
  for (const [i, count] of plan.count.entries()) {
    put.run(plan.workloads[plan.workload[i]!]!, plan.nodes[plan.node[i]!]!, count);
  }
}

class NameTable {
  readonly names: string[] = [];
  readonly #index = new Map<string, number>();

  indexOf(value: SQLOutputValue | undefined): number {
    const name = String(value);
    let index = this.#index.get(name);
    if (index === undefined) this.#index.set(name, (index = this.names.push(name) - 1));
    return index;
  }
}
