import { PEER_SOURCES } from './hints.ts';
import { rowOf, trafficIn, type PeerColumns } from './peer-row.ts';
import type { PlacementSettings } from './settings.ts';
import type { PlacementView } from './view.ts';

/** A quiet cluster has a lower floor: so much of what its replicas exchange on average, though at least 2 kbit/s. */
const SHARE_OF_MEAN = 0.1;
const LEAST_BYTES_PER_SECOND = 250;

/** Measured traffic of a replica, bytes per second, both ways: the mean of all replicas whose workloads have any. */
export function meanTraffic(view: PeerColumns & Pick<PlacementView, 'workloadCount' | 'replicas'>): number {
  let sum = 0;
  let count = 0;
  for (let w = 0; w < view.workloadCount; w++) {
    const row = rowOf(view, w);
    if (row.start < row.end && PEER_SOURCES[row.source[row.start]!] !== 'traffic') continue;
    const traffic = trafficIn(row);
    if (!(traffic > 0)) continue;
    sum += traffic;
    count += view.replicas[w]!;
  }
  return count > 0 ? sum / count : 0;
}

/** Traffic of a replica below which its weight shrinks, bytes per second; 0: there is no floor. */
export function floorOf(
  { hasUnits, meanTraffic: mean }: Pick<PlacementView, 'hasUnits' | 'meanTraffic'>,
  { floorBytesPerSecond }: Pick<PlacementSettings, 'floorBytesPerSecond'>,
): number {
  if (!hasUnits) return 0;
  return Math.min(floorBytesPerSecond, Math.max(LEAST_BYTES_PER_SECOND, SHARE_OF_MEAN * mean));
}
