import { NetloomError } from '../../lib/errors.ts';
import { defineCommand } from '../command.ts';
import { labSection } from '../options/lab.ts';

export default defineCommand({
  name: 'lab',
  summary: 'build a small cluster of network namespaces',
  description: [
    'Builds nodes, pods and Services on this machine with real traffic between them, and removes all of it. Needs root.',
  ],
  examples: [{ text: 'Build it, look around, remove it.', command: 'netloom lab up' }],
  section: labSection,
  positionals: [{ name: 'ACTION', help: 'up, down or run.', required: true, values: ['up', 'down', 'run'] }],
  longRunning: true,
  async run() {
    throw new NetloomError('INTERNAL', 'this command is not wired up yet');
  },
});
