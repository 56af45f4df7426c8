import { defineOptions } from '../../lib/config/types.ts';
import { defineSection } from '../command.ts';

export const clientSection = defineSection({
  name: 'client',
  summary: 'Commands that ask a running scheduler: graph, top, explain.',
  options: defineOptions({
    api: {
      type: 'address',
      default: '127.0.0.1:9751',
      help: "The scheduler's read API (its listenApi).",
      group: 'Connection',
      anyPort: false,
    },
    timeout: {
      type: 'duration',
      default: '10s',
      min: '100ms',
      max: '10m',
      help: 'Time after which an answer is no longer waited for.',
      group: 'Connection',
    },
  }),
});
