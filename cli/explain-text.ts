import {
  counted,
  humanBitrate,
  humanCount,
  humanDuration,
  humanShare,
  renderTable,
  wrapText,
  type TextStyle,
} from '../lib/output/index.ts';
import { unaskedLines } from './unasked-text.ts';
import { warningLines } from './warning-text.ts';
import type { ExplainReply } from '../scheduler/api/replies.ts';
import type { NodeExplanation, PeerExplanation, ScoreExplanation } from '../scheduler/placement/explain.ts';
import type { PlanTarget, PlanUse } from '../scheduler/placement/plan-use.ts';

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
      : [style.paint('dim', 'What one more pod of it would get now; what became of this one: at the end.')];
  const lines = [
    style.paint('heading', heading),
    ...further,
    ...(explanation.silence === 'unknown-workload' && (reply.lastDecision?.named ?? 0) > 0
      ? ['Its workload is not in the cluster state: there is only what was answered about it.']
      : body(explanation, style)),
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

const NOTHING_NEAR = 'None of its traffic can be brought near: no opinion.';
const ONE_CANDIDATE = 'Only one node has room for it: then kube-scheduler does not ask.';

function body(explanation: ScoreExplanation, style: TextStyle): string[] {
  const { basis, silence } = explanation;
  const lines: string[] = [];
  if (silence === 'no-difference' && explanation.candidates === 1) lines.push(ONE_CANDIDATE);
  else if (silence === 'no-traffic' && basis !== undefined && basis.knownBytesPerSecond > 0) lines.push(NOTHING_NEAR);
  else if (silence !== undefined) lines.push(SILENCES[silence] ?? `No opinion: ${silence}.`);
  if (basis === undefined) return lines;
  if (explanation.soft) {
    lines.push(
      `Its owner states preferences (affinity or spreading): they go first, scores reach ${String(explanation.scoreRange)} at most.`,
    );
  }
  if (explanation.plan !== undefined) lines.push(planText(explanation.plan));
  lines.push(`${counted(basis.replicas, 'replica')}, ${bits(basis.bytesPerSecondPerReplica)} each.`);
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
  if (explanation.peers.length > 0) lines.push('', renderTable(peerColumns, explanation.peers, style).trimEnd());
  lines.push('', nodesTable(explanation, style));
  if (explanation.least > 0) {
    lines.push(style.paint('dim', `All candidates share ${humanShare(explanation.least)}, which no score counts.`));
  }
  return lines;
}

/** What the plan wants, where it leads, and why not elsewhere. */
function planText({ version, state, targets, more }: PlanUse): string {
  const plan = `Plan ${String(version)}`;
  const listed = (of: readonly PlanTarget[]): string => of.map(targetText).join(', ');
  const beyond = more === 0 ? '' : ` (and ${counted(more, 'node')} more)`;
  const open = targets.filter((target) => target.state === 'open');
  if (state === 'open' && open.length > 0) {
    const others = targets.filter((target) => target.state !== 'open');
    const unused = others.length === 0 ? '' : ` Not used: ${listed(others)}.`;
    return `${plan} says where it goes: ${listed(open)}${beyond}; what becomes local counts beside that.${unused}`;
  }
  if (targets.length > 0) {
    return `${plan} wants it on ${listed(targets)}${beyond}: what becomes local decides.`;
  }
  return `${plan} does not place it: what becomes local decides, and the room that the plan keeps for others.`;
}

const TARGET_STATES: Readonly<Record<PlanTarget['state'], string>> = {
  open: '',
  filled: '',
  gone: ', gone',
  full: ', no room for it',
  'no-candidate': ', not among the candidates',
  barred: ', may have no more of them',
};

/** "node-4 (has 0 of 1, gone)" */
function targetText({ node, wanted, placed, state }: PlanTarget): string {
  return `${node} (has ${humanCount(placed)} of ${humanCount(wanted)}${TARGET_STATES[state]})`;
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

/** What an answer went by. */
const DECIDED_BY: Readonly<Record<PeerExplanation['source'], string>> = {
  traffic: 'the traffic of its workload',
  annotation: 'its annotation netloom.io/peers',
  alike: 'the traffic of a workload with its image and labels',
  references: 'the Services that env and args name',
};

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
              wide: !nodes.some(isSpared),
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

/** A deduction of less moves no score. */
const LEAST_PENALTY = 0.005;

function isSpared(node: NodeExplanation): node is NodeExplanation & { readonly link: object } {
  return node.link !== undefined && node.link.penalty >= LEAST_PENALTY;
}

/** Why a node has its score, the weightiest first. */
function reasons(node: NodeExplanation, { peers, plan, minGain }: ScoreExplanation): string[] {
  if (!node.known) return ['not known to Netloom'];
  if (node.ruledOut === 'no-room') return ['no room for it'];
  if (node.ruledOut === 'full-link')
    return [`/filter refuses it: its link would be ${humanShare(node.link?.used ?? 0)} full`];
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
    ...(isSpared(node)
      ? [`its link would be ${humanShare(node.link.used)} full: ${humanShare(node.link.penalty)} off`]
      : []),
  ];
}

function decision({ lastDecision, asked, pod, unasked }: ExplainReply, style: TextStyle): string[] {
  if (unasked !== undefined && pod !== undefined) return ['', ...unaskedLines(unasked, pod.node)];
  if (asked === 0) return [];
  const often = asked === 1 ? 'once' : `${humanCount(asked)} times`;
  const node = pod?.node;
  if (lastDecision === undefined) {
    const candidate = node ?? 'its node';
    const text = `Asked ${often} about this pod; no answer in time had ${candidate} among its candidates.`;
    return ['', ...wrapText(text, style.width)];
  }
  const { top, named, candidates, durationMicros, atMs, silence, planVersion, source } = lastDecision;
  const answer =
    top.length === 0
      ? `no opinion (${silence ?? 'none'})`
      : top
          .slice(0, 5)
          .map(({ Host, Score }) => `${Host} ${String(Score)}`)
          .join(', ') + (named > 5 ? `, and ${String(named - 5)} more` : '');
  const landed = node === undefined ? '' : `; it ${pod?.gone ? 'ran' : 'runs'} on ${node}`;
  const plan = planVersion === undefined ? '' : `, with plan ${String(planVersion)}`;
  const by = source === undefined ? '' : `, by ${DECIDED_BY[source]}`;
  const given = `Answered ${new Date(atMs).toISOString()} in ${humanDuration(durationMicros / 1000)} for ${counted(candidates, 'candidate')}${plan}${by}:`;
  const which = `Asked ${often} about this pod; the newest answer${node === undefined ? '' : ` about ${node}`} was:`;
  return [
    '',
    ...(asked === 1 ? [] : [which]),
    ...wrapText(given, style.width),
    `  ${style.paint('accent', answer)}${landed}`,
    ...(lastDecision.plan === undefined ? [] : [planText(lastDecision.plan)]),
  ];
}

function shortName(workload: string | undefined): string {
  return workload?.split('/').at(-1) ?? '?';
}

function bits(bytesPerSecond: number): string {
  return humanBitrate(bytesPerSecond * 8);
}
