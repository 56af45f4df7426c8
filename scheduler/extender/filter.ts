import type { ExtenderArgs } from './args.ts';

/**
 * ExtenderFilterResult as JSON: every candidate passes. Names are answered with names, Node objects with Node objects:
 * kube-scheduler takes `{}`, an empty list, or the wrong one of the two lists as "no node fits", also with `ignorable: true`.
 */
export function passAll(args: ExtenderArgs): string {
  return filterResult(args.nodeNames === undefined && args.nodes !== undefined ? args.nodes.list : undefined, args);
}

function filterResult(nodes: object | undefined, args: ExtenderArgs): string {
  return JSON.stringify({
    Nodes: nodes ?? null,
    NodeNames: nodes === undefined ? (args.nodeNames ?? []) : null,
    FailedNodes: null,
    FailedAndUnresolvableNodes: null,
    Error: '',
  });
}
