import { defineOptions } from '../../lib/config/types.ts';
import { defineSection } from '../command.ts';
import { logOptions } from './common.ts';

export const labSection = defineSection({
  name: 'lab',
  summary: 'The lab: a small cluster of network namespaces on this machine.',
  options: defineOptions({
    name: {
      type: 'string',
      default: 'demo',
      help: 'Name of the lab, 1 to 12 lower-case letters and digits; labs of different names run side by side.',
      group: 'Lab',
    },
    scenario: {
      type: 'string',
      placeholder: 'NAME|FILE',
      default: 'online-boutique',
      help: 'Workloads, nodes and traffic: online-boutique, or a JSON file in the form of lab/scenarios/.',
      group: 'Lab',
    },
    rateFactor: {
      type: 'number',
      default: 1,
      min: 0.001,
      max: 1000,
      help: 'All request rates are multiplied by it.',
      group: 'Lab',
    },
    ...logOptions,
  }),
});
