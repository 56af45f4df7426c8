import { NetloomError } from '../../lib/errors.ts';
import { defineCommand } from '../command.ts';
import { outputOptions } from '../options/common.ts';

export default defineCommand({
  name: 'doctor',
  summary: 'tell what this machine can measure',
  description: [
    'Tries every kernel feature that Netloom uses; says which are missing, what that costs, and what to do.',
  ],
  examples: [{ text: 'Look at this machine.', command: 'netloom doctor' }],
  flags: { ...outputOptions },
  async run() {
    throw new NetloomError('INTERNAL', 'this command is not wired up yet');
  },
});
