import { parseBandwidth } from '../../../bandwidth/contract/bandwidth.ts';
import type { Annotations, Direction } from './limits-rig.ts';

/**
 * What should be in the kernel for the pods of a node without fq, said plainly and without the product's own decision:
 * a few lines of the contract. Everything is by name; numbers are the kernel's affair.
 */

export const DIRECTIONS: readonly Direction[] = ['egress', 'ingress'];

/** A qdisc that a test puts at the root of a device. */
export type ForeignRoot = 'tbf' | 'pfifo';

export interface ModelPod {
  readonly name: string;
  readonly uid: string;
  annotations: Annotations;
  /** Devices of the node that lead to it; none while it is unplugged. */
  devices: string[];
  hostNetwork: boolean;
  /** The snapshot tells its addresses. */
  addressed: boolean;
  /** The last valid setting, as far as an agent can know of it. */
  last: Partial<Record<Direction, number>>;
}

export interface ModelNode {
  readonly pods: Map<string, ModelPod>;
  uplinkRoot: ForeignRoot | undefined;
  readonly podRoots: Map<string, ForeignRoot>;
  purpose: 'enforce' | 'shadow';
  hooks: 'tcx' | 'clsact';
}

/** All that is ours in the kernel, by name. */
export interface LimitState {
  /** "DEVICE ROLE" */
  readonly hooks: string[];
  /** "DEVICE EGRESS-OWNER INGRESS-OWNER" */
  readonly entries: string[];
  /** "UID DIRECTION MODE RATE" */
  readonly slots: string[];
  /** "DEVICE UID DIRECTION RATE" of the classes of HTB */
  readonly classes: string[];
  /** Devices whose root is ours. */
  readonly roots: string[];
  /** "POD DIRECTION STATE RATE" as the agent tells it. */
  readonly told: string[];
}

/** Takes the annotations as an agent that runs sees them. */
export function noteSettings({ pods }: ModelNode): void {
  for (const pod of pods.values()) {
    for (const direction of DIRECTIONS) {
      const wish = parseBandwidth(pod.annotations[direction]);
      if (wish.kind === 'limit') pod.last[direction] = Number(wish.bps);
      if (wish.kind === 'none') delete pod.last[direction];
    }
  }
}

/** An agent that starts knows of last settings only what is in force. */
export function forgetWhatIsNotHeld(node: ModelNode, held: ReadonlySet<string>): void {
  for (const pod of node.pods.values()) {
    for (const direction of DIRECTIONS) if (!held.has(`${pod.uid} ${direction}`)) delete pod.last[direction];
  }
}

/** After `noteSettings`. @param uplink name of the only uplink */
export function wantedState(node: ModelNode, uplink: string): LimitState {
  const told: string[] = [];
  const limited: { pod: ModelPod; direction: Direction; mode: 'htb' | 'police' | 'shadow'; bps: number }[] = [];
  const isThere = (pod: ModelPod): boolean => !pod.hostNetwork && pod.addressed && pod.devices.length > 0;
  for (const pod of node.pods.values()) {
    for (const direction of DIRECTIONS) {
      const wish = parseBandwidth(pod.annotations[direction]);
      const bps = pod.last[direction];
      const tell = (state: string): unknown => told.push(`${pod.name} ${direction} ${state} ${bps ?? 'none'}`);
      if (wish.kind === 'none' && !(node.purpose === 'shadow' && isThere(pod))) continue;
      if (pod.hostNetwork) tell('unsupported');
      else if (!isThere(pod)) tell(bps === undefined ? 'unsupported' : 'pending');
      else if (node.purpose === 'shadow') {
        limited.push({ pod, direction, mode: 'shadow', bps: bps ?? 0 });
        tell('shadow');
      } else if (bps === undefined) tell('unsupported');
      else {
        const way = wayOf(node, pod, direction);
        tell(way === 'other' ? 'unsupported' : way === 'htb' ? 'shaped-htb' : 'policed');
        if (way !== 'other') limited.push({ pod, direction, mode: way, bps });
      }
    }
  }
  const hooks: string[] = [];
  const entries: string[] = [];
  const shapedEgress = limited.some(({ direction, mode }) => direction === 'egress' && mode === 'htb');
  const ownerOf = (pod: ModelPod, direction: Direction): string =>
    limited.some((one) => one.pod === pod && one.direction === direction) ? pod.uid : '-';
  if (limited.length > 0) {
    for (const pod of node.pods.values()) {
      if (!isThere(pod)) continue;
      const [egress, ingress] = [ownerOf(pod, 'egress'), ownerOf(pod, 'ingress')];
      for (const device of pod.devices) {
        hooks.push(`${device} from_pod`);
        if (ingress !== '-') hooks.push(`${device} to_pod`);
        entries.push(`${device} ${egress} ${ingress}`);
      }
    }
    if (shapedEgress) {
      hooks.push(`${uplink} leave`);
      entries.push(`${uplink} - -`);
    }
  }
  const classes = limited.flatMap(({ pod, direction, mode, bps }) =>
    mode === 'htb'
      ? (direction === 'egress' ? [uplink] : pod.devices).map((device) => `${device} ${pod.uid} ${direction} ${bps}`)
      : [],
  );
  return {
    hooks: hooks.sort(),
    entries: entries.sort(),
    slots: limited.map(({ pod, direction, mode, bps }) => `${pod.uid} ${direction} ${mode} ${bps}`).sort(),
    classes: classes.sort(),
    roots: [...new Set(classes.map((text) => text.split(' ')[0]!))].sort(),
    told: told.sort(),
  };
}

function wayOf(node: ModelNode, pod: ModelPod, direction: Direction): 'htb' | 'police' | 'other' {
  if (direction === 'egress') return node.uplinkRoot === undefined ? 'htb' : 'police';
  const roots = pod.devices.map((device) => node.podRoots.get(device));
  if (roots.includes('tbf')) return 'other';
  return roots.includes('pfifo') ? 'police' : 'htb';
}
