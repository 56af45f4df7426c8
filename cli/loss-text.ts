import { humanBytes, humanCount } from '../lib/output/index.ts';
import type { LostCounts } from '../scheduler/graph/counters.ts';

/** What the figures do not hold, one sentence a reason; none where nothing is missing. */
export function lossSentences(lost: LostCounts): string[] {
  const sentences: string[] = [];
  const say = (count: number, sentence: (count: string) => string): void => {
    if (count > 0) sentences.push(sentence(humanCount(count)));
  };
  say(
    lost.mapFullConnections,
    (n) => `${n} connections (${humanBytes(lost.mapFullBytes)}) did not fit into a node's map.`,
  );
  say(lost.storageFailed, (n) => `${n} sockets got no room in the kernel and were not counted.`);
  say(lost.readFailed, (n) => `${n} reads of kernel maps failed; their figures come with the next.`);
  say(
    lost.droppedEdges,
    (n) => `${n} edges (${humanBytes(lost.droppedBytes)}) were dropped by agents that could not report.`,
  );
  say(lost.refusedForeign, (n) => `${n} rows were refused: an agent reported for another node's pod.`);
  say(lost.malformed, (n) => `${n} rows were refused: malformed.`);
  say(lost.heldRows, (n) => `${n} rows (${humanBytes(lost.heldBytes)}) wait for their server's view or address.`);
  say(lost.heldOverflow, (n) => `${n} rows (${humanBytes(lost.heldOverflowBytes)}) were more than may wait.`);
  say(
    lost.overlapping,
    (n) => `${n} rows (${humanBytes(lost.overlappingBytes)}) came twice: two agents run under one node's name.`,
  );
  say(lost.missingReports, (n) => `${n} reports never came.`);
  say(lost.unresolvedLocal, (n) => `${n} rows came from an address that is no pod's and no node's.`);
  say(lost.unresolvedRemote, (n) => `${n} rows went to a cluster address that is nobody's: see "unknown".`);
  say(
    lost.podEdgesDropped + lost.podEdgesRefused,
    (n) => `${n} pod edges were left out for want of room (workloads hold them).`,
  );
  say(lost.workloadEdgesFolded, (n) => `${n} times an edge was folded into "other" for want of room.`);
  return sentences;
}
