import type { ExtenderArgs } from './args.ts';

/**
 * ExtenderFilterResult as JSON: every candidate passes. Names are answered with names, Node objects with Node objects:
 * kube-scheduler takes `{}`, an empty list, or the wrong one of the two lists as "no node fits", also with `ignorable: true`.
 */
export function passAll(args: ExtenderArgs): string {
  return refuse(args, new Map());
}

/** All but those; by name, with the reason that `kubectl describe pod` shows if no other node fits either. */
export function refuse({ nodeNames, nodes }: ExtenderArgs, refused: ReadonlyMap<string, string>): string {
  const failed = refused.size === 0 ? null : Object.fromEntries(refused);
  if (nodeNames === undefined && nodes !== undefined) {
    return filterResult(refused.size === 0 ? nodes.list : without(nodes, refused), null, failed);
  }
  const names = nodeNames ?? [];
  return filterResult(null, refused.size === 0 ? names : names.filter((name) => !refused.has(name)), failed);
}

/** @param used utilisation with the pod, 0 and more */
export function fullText(used: number, most: number): string {
  return `its link would be used to ${percent(used)}, more than ${percent(most)}`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** The NodeList as it came, without the items of these names; whatever the case of its key. */
function without({ list, names }: NonNullable<ExtenderArgs['nodes']>, refused: ReadonlyMap<string, string>): object {
  return Object.fromEntries(
    Object.entries(list).map(([key, value]: [string, unknown]) => [
      key,
      key.toLowerCase() === 'items' && Array.isArray(value) && value.length === names.length
        ? value.filter((_, i) => !refused.has(names[i]!))
        : value,
    ]),
  );
}

function filterResult(nodes: object | null, names: readonly string[] | null, failed: object | null): string {
  return JSON.stringify({
    Nodes: nodes,
    NodeNames: names,
    FailedNodes: failed,
    FailedAndUnresolvableNodes: null,
    Error: '',
  });
}
