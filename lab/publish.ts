import { renderSnapshot } from './snapshot.ts';
import { saveState, scopeFile, snapshotFile, writeAtomically, type Lab } from './state.ts';

/** Writes what others read: lab.json, the snapshot for the scheduler, the scope of each node's agent. */
export async function publish(lab: Lab): Promise<void> {
  await saveState(lab);
  for (const node of lab.state.nodes) {
    const pods = lab.state.pods.flatMap((p) => (p.node === node.name && p.netns !== undefined ? [p.netns] : []));
    await writeAtomically(scopeFile(lab, node.name), `${[node.netns, ...pods].join('\n')}\n`);
  }
  await writeAtomically(snapshotFile(lab), `${JSON.stringify(renderSnapshot(lab.state))}\n`);
}
