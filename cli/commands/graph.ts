import { NetloomError } from '../../lib/errors.ts';
import { defineCommand } from '../command.ts';
import { clientSection } from '../options/client.ts';
import { outputOptions } from '../options/common.ts';

export default defineCommand({
  name: 'graph',
  summary: 'show who talks to whom, and how much',
  description: ['Shows the traffic graph that a running scheduler has learned.'],
  examples: [{ text: 'The edges of the graph, heaviest first.', command: 'netloom graph' }],
  section: clientSection,
  flags: {
    counters: {
      type: 'bool',
      help: 'Cumulative payload since the start instead of rates.',
      group: 'What to show',
      configurable: false,
    },
    by: {
      type: 'enum',
      values: ['workload', 'pod'],
      default: 'workload',
      help: 'What the ends of an edge are.',
      group: 'What to show',
      configurable: false,
    },
    export: {
      type: 'path',
      placeholder: 'DIR',
      help: 'Write snapshot.json and traffic.csv into this folder.',
      group: 'What to show',
      configurable: false,
    },
    ...outputOptions,
  },
  async run() {
    throw new NetloomError('INTERNAL', 'this command is not wired up yet');
  },
});
