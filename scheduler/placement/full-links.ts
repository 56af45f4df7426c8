import { headroom, isKnownNode, prepare } from './evaluate.ts';
import { Scratch } from './scratch.ts';
import type { PlacementSettings } from './settings.ts';
import type { PlacementView } from './view.ts';

const scratch = new Scratch();

export interface FullLink {
  readonly node: number;
  /** Utilisation with the pod. */
  readonly used: number;
}

/**
 * Candidates whose link one more pod of a workload would take beyond settings.maxLinkUse. Never all of them: where no link has
 * room, none is refused. Nor is anything refused for a pod that adds nothing, or of which nothing is known.
 */
export function fullLinks(
  view: PlacementView,
  workload: number | undefined,
  candidates: ArrayLike<number>,
  settings: PlacementSettings,
): readonly FullLink[] {
  const { maxLinkUse } = settings;
  if (maxLinkUse === undefined || !view.hasLinks) return [];
  const basis = prepare(view, { workload, candidates }, { ...settings, lookAhead: 0 }, scratch);
  if (typeof basis === 'string') return [];
  const full: FullLink[] = [];
  for (let c = 0; c < candidates.length; c++) {
    const node = candidates[c]!;
    if (!isKnownNode(view, node)) continue;
    const { used, added } = headroom(view, node, basis, scratch);
    if (added > 0 && used > maxLinkUse) full.push({ node, used });
  }
  return full.length === candidates.length ? [] : full;
}
