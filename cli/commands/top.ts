import { NetloomError } from '../../lib/errors.ts';
import { defineCommand } from '../command.ts';
import { clientSection } from '../options/client.ts';
import { outputOptions } from '../options/common.ts';

export default defineCommand({
  name: 'top',
  summary: 'show the heaviest workloads, edges and links',
  description: ['Shows what moves most just now.'],
  examples: [{ text: 'The heaviest edges.', command: 'netloom top' }],
  section: clientSection,
  flags: { ...outputOptions },
  async run() {
    throw new NetloomError('INTERNAL', 'this command is not wired up yet');
  },
});
