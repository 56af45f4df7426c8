import { NetloomError } from '../../lib/errors.ts';
import { defineCommand } from '../command.ts';
import { agentSection } from '../options/agent.ts';

export default defineCommand({
  name: 'agent',
  summary: 'measure the traffic of this node and report it',
  description: [
    'Reads what every socket of this node moved from the kernel, without a program per packet, and reports it ' +
      'to the scheduler once an interval. Needs root, or the capabilities BPF and PERFMON; `netloom doctor` tells ' +
      'what this machine can measure.',
  ],
  examples: [
    { text: 'Measure the whole node.', command: 'netloom agent --node worker-1 --scheduler 10.0.0.5:9753' },
    {
      text: 'Read everything from a file, but report more often.',
      command: 'netloom agent --config /etc/netloom.yaml --interval 1s',
    },
  ],
  section: agentSection,
  longRunning: true,
  async run() {
    throw new NetloomError('INTERNAL', 'this command is not wired up yet');
  },
});
