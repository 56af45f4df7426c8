import { cellText, printResult } from '../../lib/output/index.ts';
import { defineCommand } from '../command.ts';
import { askLimits } from '../limits-client.ts';
import { limitsText, suggestionsText } from '../limits-text.ts';
import { outputOptions } from '../options/common.ts';

export default defineCommand({
  name: 'limits',
  summary: 'show the bandwidth limits of this node: what was asked for, what passes, how it is held',
  description: [
    'Asks the agent of this node (`netloom agent --enforce`, `--shadow` or `--dry-run`). LIMIT and NOW are bits a second ' +
      'on the wire; WAITS is the share of the last seconds during which packets waited. STATE: enforced (paced by fq), ' +
      'shaped-htb (held back by HTB), policed (what is too much is dropped), pending (no interface yet), unsupported (not ' +
      'enforced), shadow (only counted), dry-run (only computed). Why it is so stands below the table.',
    'Where a terminal is too narrow, names of pods stand on lines of their own. Into a file or a pipe every line is as wide ' +
      'as it needs to be.',
    'In a cluster: kubectl exec -n NAMESPACE AGENT-POD -- netloom limits -A',
  ],
  examples: [
    { text: 'All limits of this node.', command: 'netloom limits -A' },
    { text: 'With packets, delays and interfaces.', command: 'netloom limits -n shop -o wide' },
    { text: 'What limits would fit, from an agent with --shadow.', command: 'netloom limits -A --suggest' },
  ],
  flags: {
    allNamespaces: {
      type: 'bool',
      short: 'A',
      help: 'Pods of all namespaces.',
      group: 'What to show',
      configurable: false,
    },
    namespace: {
      type: 'string',
      short: 'n',
      placeholder: 'NAME',
      help: 'Pods of this namespace. Without it and -A: of the namespace "default".',
      group: 'What to show',
      configurable: false,
    },
    suggest: {
      type: 'bool',
      help: 'Propose limits from the demand that was seen since the agent started.',
      group: 'What to show',
      configurable: false,
    },
    socket: {
      type: 'path',
      default: '/run/netloom/limits.sock',
      help: 'Unix socket of the agent: limits.sock in its --state folder.',
      group: 'Connection',
      configurable: false,
    },
    ...outputOptions,
  },
  check({ allNamespaces, namespace }, conflict) {
    if (allNamespaces && namespace !== undefined) {
      conflict('-A contradicts -n', 'Leave out one: -A shows all namespaces, -n one.');
    }
  },
  async run({ options, stdout, stderr, environment }) {
    const report = await askLimits(options.socket);
    const namespace = options.allNamespaces ? undefined : (options.namespace ?? 'default');
    const rows = report.rows.filter((row) => namespace === undefined || row.namespace === namespace);
    const isTable = options.output === 'table' || options.output === 'wide';
    if (!isTable) for (const warning of report.warnings) stderr.write(`Warning: ${cellText(warning)}\n`);
    const text = options.suggest ? suggestionsText : limitsText;
    await printResult(stdout, options.output, environment, {
      data: rows,
      text: (style) => text(report, rows, namespace, style),
    });
    return 0;
  },
});
