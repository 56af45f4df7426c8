import type { Direction } from '../contract/bandwidth.ts';
import type { SlotConfig } from '../slot-config.ts';
import type { Desired, Fault, NodeView, Standing } from './types.ts';

/**
 * How the directions of pods stand after what was to be done was tried: what could not be done does not hold. Pure.
 * @param lasting texts of faults that were there the last time too; others may have been a race with somebody
 */
export function standingsWith(
  desired: Desired,
  view: Pick<NodeView, 'places' | 'uplinks'>,
  faults: readonly Fault[],
  lasting: ReadonlySet<string>,
): Desired['standings'] {
  if (faults.every(({ part }) => part === undefined)) return desired.standings;
  const standings = new Map(desired.standings);
  for (const { uid, direction, config } of desired.slots) {
    const fault = faults.find((one) => concerns(one, uid, direction, config, view));
    const known = standings.get(uid)?.[direction];
    if (fault === undefined || known === undefined) continue;
    const standing: Standing = {
      state: lasting.has(fault.text) ? 'unsupported' : 'pending',
      reason: [known.reason, fault.text].filter((phrase) => phrase !== '').join('; '),
      bps: known.bps,
    };
    standings.set(uid, { ...standings.get(uid), [direction]: standing });
  }
  return standings;
}

function concerns(
  { ifindex, part }: Fault,
  uid: string,
  direction: Direction,
  { mode, shadow }: SlotConfig,
  { places, uplinks }: Pick<NodeView, 'places' | 'uplinks'>,
): boolean {
  if (part === undefined) return false;
  const place = places.get(uid);
  const own = place?.found === true && place.interfaces.some((device) => device.ifindex === ifindex);
  if (part === 'from_pod') return own && direction === 'egress';
  if (part === 'to_pod') return own && direction === 'ingress';
  if (shadow || mode === 'police') return false;
  const atUplink = uplinks.some((uplink) => {
    return uplink.ifindex === ifindex || uplink.queueing.some((device) => device.ifindex === ifindex);
  });
  if (part === 'leave') return atUplink && direction === 'egress' && mode === 'htb';
  return direction === 'egress' ? atUplink : own;
}
