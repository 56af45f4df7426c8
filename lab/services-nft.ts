import { endpointsOf, POD_RANGE, SERVICE_RANGE } from './layout.ts';
import type { LabNode, LabState } from './state.ts';

export const NFT_TABLE = 'netloom_lab';

/**
 * The nftables rules of one node, doing what kube-proxy does: a Service address becomes that of one of its pods,
 * chosen evenly at random per connection; a pod that reaches itself through its Service is masqueraded to the
 * gateway, and what does not come from a pod to the address of the node; a Service without pods refuses.
 * Replaces the table in one transaction. Pure.
 */
export function servicesRuleset(state: LabState, node: LabNode): string {
  const rules: string[] = [];
  for (const service of state.services) {
    const addresses = endpointsOf(state, service).map((p) => p.address!);
    if (addresses.length === 0) continue;
    const match = `ip daddr ${service.clusterIP} tcp dport ${service.port}`;
    const target =
      addresses.length === 1
        ? addresses[0]!
        : `numgen random mod ${addresses.length} map { ${addresses.map((a, i) => `${i} : ${a}`).join(', ')} }`;
    rules.push(`    ${match} dnat to ${target}:${service.targetPort}`);
  }
  const own = state.pods.filter((p) => p.node === node.name && p.address !== undefined).map((p) => p.address!);
  const hairpin =
    own.length === 0
      ? []
      : [`    ct status dnat ip saddr . ip daddr { ${own.map((a) => `${a} . ${a}`).join(', ')} } masquerade`];
  return [
    `table ip ${NFT_TABLE}`,
    `delete table ip ${NFT_TABLE}`,
    `table ip ${NFT_TABLE} {`,
    '  chain services {',
    ...rules,
    '  }',
    '  chain prerouting {',
    '    type nat hook prerouting priority dstnat; policy accept;',
    '    jump services',
    '  }',
    '  chain output {',
    '    type nat hook output priority -100; policy accept;',
    '    jump services',
    '  }',
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat; policy accept;',
    ...hairpin,
    `    ct status dnat ip saddr != ${POD_RANGE} masquerade`,
    '  }',
    ...['forward', 'output'].flatMap((hook) => [
      `  chain ${hook}-filter {`,
      `    type filter hook ${hook} priority filter; policy accept;`,
      // What still has a Service address here has no pod behind it.
      `    ip daddr ${SERVICE_RANGE} reject`,
      '  }',
    ]),
    '}',
    '',
  ].join('\n');
}
