import { NetloomError } from '../../lib/errors.ts';
import { defineCommand } from '../command.ts';
import { clientSection } from '../options/client.ts';
import { outputOptions } from '../options/common.ts';

export default defineCommand({
  name: 'explain',
  summary: 'show why nodes get the scores they get for a pod',
  description: ['Asks a running scheduler how it scores nodes for a pod, peer by peer.'],
  examples: [
    { text: 'A pod that exists, or one that its owner could make.', command: 'netloom explain shop/cart-7d4b9c-x2x4z' },
  ],
  section: clientSection,
  positionals: [{ name: 'POD', help: 'NAMESPACE/NAME of the pod.', required: true }],
  flags: { ...outputOptions },
  async run() {
    throw new NetloomError('INTERNAL', 'this command is not wired up yet');
  },
});
