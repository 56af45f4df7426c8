import { NetloomError } from '../../lib/errors.ts';
import { defineCommand } from '../command.ts';
import { schedulerSection } from '../options/scheduler.ts';

export default defineCommand({
  name: 'scheduler',
  summary: 'learn the traffic graph and answer kube-scheduler',
  description: [
    "Takes the reports of agents, keeps one graph of the cluster's traffic, and answers kube-scheduler's " +
      '/prioritize with scores that put pods near those they talk to.',
    'With a snapshot of a cluster and its traffic as CSV it needs neither agents nor a cluster.',
  ],
  examples: [
    {
      text: 'What would Netloom do with my cluster?',
      command: 'netloom scheduler --snapshot cluster.json --traffic traffic.csv',
    },
    {
      text: 'Keep the graph over restarts, take reports from other machines.',
      command: 'netloom scheduler --store graph.db --config /etc/netloom.yaml',
    },
  ],
  section: schedulerSection,
  longRunning: true,
  async run() {
    throw new NetloomError('INTERNAL', 'this command is not wired up yet');
  },
});
