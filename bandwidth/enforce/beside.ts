import type { Desired, NodeView } from './types.ts';

/**
 * How the directions of pods stand where limits that this agent does not look after are in force too. Pure.
 * @param ifindexes where these are
 * @param what a phrase
 */
export function standingsBeside(
  standings: Desired['standings'],
  { places, uplinks }: Pick<NodeView, 'places' | 'uplinks'>,
  ifindexes: ReadonlySet<number>,
  what: string,
): Desired['standings'] {
  if (ifindexes.size === 0) return standings;
  const atUplink = uplinks.some(({ ifindex }) => ifindexes.has(ifindex));
  return new Map(
    [...standings].map(([uid, of]) => {
      const place = places.get(uid);
      const atPod = place?.found === true && place.interfaces.some(({ ifindex }) => ifindexes.has(ifindex));
      const touched = Object.entries(of).map(([direction, standing]) => {
        const isTouched = atPod || (direction === 'egress' && atUplink && place?.found === true);
        const reason = [standing.reason, what].filter((phrase) => phrase !== '').join('; ');
        return [direction, isTouched ? { ...standing, reason } : standing] as const;
      });
      return [uid, Object.fromEntries(touched)] as const;
    }),
  );
}
