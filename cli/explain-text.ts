import {
  humanBitrate,
  humanCount,
  humanDuration,
  humanShare,
  renderTable,
  type TextStyle,
} from '../lib/output/index.ts';
import { unaskedLines } from './unasked-text.ts';
import { warningLines } from './warning-text.ts';
import type { ExplainReply } from '../scheduler/api/replies.ts';
import type { NodeExplanation, PeerExplanation, ScoreExplanation } from '../scheduler/placement/explain.ts';

/** An explanation in plain words: what is known of the pod, whom it talks to, what each node would make local. Pure. */
export function explainText(reply: ExplainReply, style: TextStyle): string {
  const { explanation } = reply;
  const heading =
    reply.pod === undefined
      ? `A new pod of ${reply.workload}`
      : `Pod ${reply.pod.namespace}/${reply.pod.name} (${reply.workload})` + whereabouts(reply.pod);
  const further =
    reply.pod?.node === undefined || explanation.basis === undefined
      ? []
      : [style.paint('dim', 'What one more pod of it would get now; what became of this one stands at the end.')];
  const lines = [
    style.paint('heading', heading),
    ...further,
    ...body(explanation, style),
    ...(reply.notes ?? []).map((note) => style.paint('warning', note)),
    ...decision(reply, style),
    '',
  ];
  return warningLines(reply.warnings, style) + lines.join('\n');
}

function whereabouts({ node, gone }: NonNullable<ExplainReply['pod']>): string {
  if (gone) return node === undefined ? ', gone' : `, gone from ${node}`;
  return node === undefined ? ', pending' : `, on ${node}`;
}

const SILENCES: Readonly<Record<string, string>> = {
  'switched-off': 'netloom.io/placement is "off" on the pod or its namespace: no opinion.',
  'unknown-workload': 'Nothing is known of this workload: no opinion.',
  'one-per-node': 'It runs once on every node (or is a static pod): no opinion.',
  'no-traffic': 'No traffic of it is known: no opinion.',
  'no-difference': 'Every candidate is as good as the others: no opinion.',
};

function body(explanation: ScoreExplanation, style: TextStyle): string[] {
  const { basis, silence } = explanation;
  const lines: string[] = [];
  if (silence !== undefined) lines.push(SILENCES[silence] ?? `No opinion: ${silence}.`);
  if (basis === undefined) return lines;
  if (explanation.soft) {
    lines.push(
      `Its owner states preferences (affinity or spreading): they go first, scores reach ${String(explanation.scoreRange)} at most.`,
    );
  }
  if (explanation.plan !== undefined) lines.push(planText(explanation.plan));
  lines.push(
    `${humanCount(basis.replicas)} replica${basis.replicas === 1 ? '' : 's'}, ${bits(basis.bytesPerSecondPerReplica)} each.`,
  );
  if (basis.floorFactor < 1 && basis.floorBytesPerSecond !== undefined) {
    lines.push(`That is below ${bits(basis.floorBytesPerSecond)}: scores count ${humanShare(basis.floorFactor)}.`);
  }
  if (basis.scarcityFactor < 1) {
    lines.push(
      `Room is scarce, and it has less traffic for its size than others to come: scores count ${humanShare(basis.scarcityFactor)}.`,
    );
  }
  if (basis.otherBytesPerSecond > 0) {
    const share = humanShare(basis.otherBytesPerSecond / basis.knownBytesPerSecond);
    lines.push(`${share} of it goes to what cannot be moved near.`);
  }
  const [peer] = explanation.peers;
  if (peer !== undefined && peer.source !== 'traffic') lines.push(SOURCES[peer.source] ?? '');
  lines.push(...routingLines(explanation.peers));
  lines.push('', renderTable(peerColumns, explanation.peers, style).trimEnd());
  lines.push('', nodesTable(explanation, style));
  if (explanation.least > 0) {
    lines.push(style.paint('dim', `All candidates share ${humanShare(explanation.least)}, which no score counts.`));
  }
  return lines;
}

function planText({ version, state }: NonNullable<ScoreExplanation['plan']>): string {
  const plan = `Plan ${String(version)}`;
  switch (state) {
    case 'open':
      return `${plan} says where it goes; what becomes local counts beside that.`;
    case 'full':
      return `${plan} has all of its replicas that it wants on the nodes there are: what becomes local decides.`;
    case 'absent':
      return `${plan} does not place it: what becomes local decides, and the room that the plan keeps for others.`;
  }
}

const peerColumns = [
  { header: 'TALKS TO', cell: (peer: PeerExplanation) => peer.workload, shrink: true, minWidth: 16 },
  { header: 'AS', cell: (peer: PeerExplanation) => peer.role },
  { header: 'TRAFFIC', cell: (peer: PeerExplanation) => bits(peer.bytesPerSecond) },
  { header: 'SHARE', cell: (peer: PeerExplanation) => humanShare(peer.shareOfTraffic) },
  {
    header: 'REPLICAS',
    cell: (peer: PeerExplanation) =>
      humanCount(peer.replicas) + (peer.toCome > 0 ? ` (${humanCount(peer.toCome)} to come)` : ''),
  },
  { header: 'SURE', cell: (peer: PeerExplanation) => humanShare(peer.confidence) },
  {
    header: 'FINDS SERVER',
    cell: (peer: PeerExplanation) => (peer.routing === 'random' ? undefined : peer.routing),
    wide: true,
  },
];

const SOURCES: Readonly<Record<string, string>> = {
  annotation: 'No traffic of it is known yet: these peers are what its annotation netloom.io/peers says.',
  alike: 'No traffic of it is known yet: these are the peers of a workload with its image and labels.',
  references:
    'No traffic of it is known yet: these are the Services that its env and args name, and who names its own.',
};

function nodesTable(explanation: ScoreExplanation, style: TextStyle): string {
  const nodes = [...explanation.nodes].sort((a, b) => b.score - a.score || b.value - a.value);
  const because = (node: NodeExplanation): string => reasons(node, explanation).join('; ') || '-';
  const isComing = nodes.some(({ future }) => future > 0);
  const hasLinks = nodes.some(({ link }) => link !== undefined);
  return renderTable(
    [
      { header: 'NODE', cell: (node: NodeExplanation) => node.node, shrink: true },
      {
        header: 'SCORE',
        cell: (node) => (node.score > 0 && !node.named ? `(${String(node.score)})` : node.score),
        align: 'right' as const,
        role: (node) => (node.score > 0 ? ('good' as const) : undefined),
      },
      { header: 'ON NODE', cell: (node) => humanShare(node.gains.node) },
      { header: 'IN ZONE', cell: (node) => humanShare(node.gains.zone) },
      ...(isComing ? [{ header: 'TO COME', cell: (node: NodeExplanation) => humanShare(node.future) }] : []),
      ...(hasLinks
        ? [
            {
              header: 'LINK',
              cell: (node: NodeExplanation) => (node.link === undefined ? undefined : humanShare(node.link.used)),
              wide: true,
            },
          ]
        : []),
      { header: 'IN REGION', cell: (node) => humanShare(node.gains.region), wide: true },
      { header: 'ZONE', cell: (node) => node.zone, wide: true },
      { header: 'OWN', cell: (node) => node.placedReplicas, wide: true },
      { header: 'BECOMES LOCAL ON THE NODE', cell: because, shrink: true, minWidth: 20 },
    ],
    nodes,
    style,
  ).trimEnd();
}

const ROUTED: Readonly<Record<string, string>> = {
  'same-node': 'stay on the node, if a server is there',
  'same-zone': 'stay in the zone, if a server is there',
  pinned: 'stay with the servers that they once found',
};

function routingLines(peers: readonly PeerExplanation[]): string[] {
  return Object.entries(ROUTED).flatMap(([routing, text]) => {
    const names = peers.filter((peer) => peer.routing === routing).map((peer) => shortName(peer.workload));
    return names.length === 0 ? [] : [`Connections with ${names.join(', ')} ${text}.`];
  });
}

/** Why a node has its score, the weightiest first. */
function reasons(node: NodeExplanation, { peers, plan, minGain }: ScoreExplanation): string[] {
  if (!node.known) return ['not known to Netloom'];
  if (node.avoided) return ['has a taint PreferNoSchedule'];
  if (node.zoneCapped) return ['its zone has enough of them already'];
  if (node.capped) return [`has ${humanCount(node.placedReplicas)} already, enough`];
  const local = node.terms
    .filter((term) => term.level === 'node' && term.gain > 0)
    .sort((a, b) => b.gain - a.gain)
    .map((term) => `${shortName(peers[term.peer]?.workload)} ${humanShare(term.gain)}`);
  return [
    ...(node.planned > 0 ? [`planned ${humanCount(node.planned)}, has ${humanCount(node.placedReplicas)}`] : []),
    ...(local.length > 0 ? [local.join(', ')] : []),
    ...(node.slight && node.gains.node + node.future > 0 ? [`below ${humanShare(minGain)}, not counted`] : []),
    ...(node.keptForPlan > 0 ? [`room kept for plan ${String(plan?.version)}`] : []),
    ...(node.keptForPeers > 0 ? ['room kept for pods to come'] : []),
    ...(node.link !== undefined && node.link.penalty > 0
      ? [`its link would be ${humanShare(node.link.used)} full`]
      : []),
  ];
}

function decision({ lastDecision, asked, pod, unasked }: ExplainReply, style: TextStyle): string[] {
  if (unasked !== undefined && pod !== undefined) return ['', ...unaskedLines(unasked, pod.node)];
  if (asked === 0) return [];
  const often = asked === 1 ? 'once' : `${humanCount(asked)} times`;
  const node = pod?.node;
  if (lastDecision === undefined) {
    return [
      '',
      `Asked ${often} about this pod; no answer that came in time had ${node ?? 'its node'} among its candidates.`,
    ];
  }
  const { top, named, candidates, durationMicros, atMs, silence, planVersion } = lastDecision;
  const answer =
    top.length === 0
      ? `no opinion (${silence ?? 'none'})`
      : top
          .slice(0, 5)
          .map(({ Host, Score }) => `${Host} ${String(Score)}`)
          .join(', ') + (named > 5 ? `, and ${String(named - 5)} more` : '');
  const landed = node === undefined ? '' : `; it ${pod?.gone ? 'ran' : 'runs'} on ${node}`;
  const plan = planVersion === undefined ? '' : `, with plan ${String(planVersion)}`;
  const which = `Asked ${often} about this pod; the newest answer${node === undefined ? '' : ` about ${node}`} was:`;
  return [
    '',
    ...(asked === 1 ? [] : [which]),
    `Answered ${new Date(atMs).toISOString()} in ${humanDuration(durationMicros / 1000)} for ${humanCount(candidates)} candidates${plan}:`,
    `  ${style.paint('accent', answer)}${landed}`,
  ];
}

function shortName(workload: string | undefined): string {
  return workload?.split('/').at(-1) ?? '?';
}

function bits(bytesPerSecond: number): string {
  return humanBitrate(bytesPerSecond * 8);
}
