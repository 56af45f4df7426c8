import { CASES } from './cases/index.ts';
import { testGuests } from './outcomes.ts';
import { planGuests } from './plan.ts';

const cases = CASES.filter(({ ci }) => ci);
// In two guests, one for each core.
testGuests(planGuests(cases, ['6.12'], Math.ceil(cases.length / 2)));
