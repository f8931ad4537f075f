// Calls everything of the published `windmill-client` (npm) that a program outside of jobs may want; prints what came back
// as JSON. Its environment is that of a job, as far as the library reads it; NODE_MODULES is where it lies.
import { pathToFileURL } from 'node:url';

const wmill = await import(pathToFileURL(`${process.env.NODE_MODULES}/windmill-client/dist/index.mjs`));
console.warn = () => {};
const told = {};
const hash = process.env.HASH;
const error = (call) => call().catch((problem) => String(problem.message));
/** What the server answered to a call that fails. */
const approval = (call) => call().catch((problem) => `${problem.body ?? ''} ${problem.message}`);
/** Looks until it is so; the test that started this program has the deadline. */
async function until(look, wanted) {
  for (;;) {
    const seen = await look();
    if (wanted(seen)) return seen;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
const workspace = process.env.WM_WORKSPACE;
const job = (id) => wmill.JobService.getJob({ workspace, id });

told.whoami = (await wmill.UserService.globalWhoami()).username;
told.version = (await wmill.SettingsService.backendVersion()).startsWith('windsock v');
told.workspace = workspace;
told.email = await wmill.usernameToEmail('admin');

told.run_script = await wmill.runScriptByPath('u/admin/double', { n: 21 });
told.run_script_by_hash = await wmill.runScriptByHash(hash, { n: 4 });
told.run_script_old = await wmill.runScript('u/admin/double', null, { n: 2 });
told.failure = await error(() => wmill.runScriptByPath('u/admin/fails', {}));
const done = await wmill.runScriptByPathAsync('u/admin/double', { n: 5 });
told.wait_job = await wmill.waitJob(done);
told.get_result = await wmill.JobService.getCompletedJobResult({ workspace, id: done });
told.maybe = (await wmill.JobService.getCompletedJobResultMaybe({ workspace, id: done })).completed;
told.status = (await job(done)).type;
told.get_job = (await job(done)).script_path;
told.root = (await wmill.getRootJobId(done)) === done;
const late = await wmill.runScriptByHashAsync(hash, { n: 6 }, 100000);
told.late = (await job(late)).running;
told.canceled_late = (await wmill.cancelJob(late, 'not needed')).includes(late);
told.result_late = (await wmill.JobService.getCompletedJobResult({ workspace, id: late })).error.name;
const flow = await wmill.runFlowAsync('f/tools/flow', { n: 7 });
told.flow = await wmill.waitJob(flow);
told.run_flow = await wmill.runFlow('f/tools/flow', { n: 8 });

const slow = await wmill.runScriptByPathAsync('u/admin/slow', {});
await until(() => job(slow), (seen) => seen.running);
await wmill.setProgress(40, slow);
told.progress = await wmill.getProgress(slow);
await wmill.cancelJob(slow);
told.canceled = (await until(() => job(slow), (seen) => seen.type === 'CompletedJob')).type;

const streamed = await wmill.runScriptByPathAsync('u/admin/streams', {});
told.streamed = await wmill.waitJob(streamed);
told.stream = (await wmill.JobService.getJobUpdates({ workspace, id: streamed, logOffset: 0, streamOffset: 0 })).new_result_stream;
const policy = JSON.stringify({ constant: { attempts: 2, seconds: 0 } });
const retried = await fetch(`${process.env.BASE_URL}/api/w/${workspace}/jobs/run/p/u/admin/third_time?retry=${encodeURIComponent(policy)}`,
  { method: 'POST', headers: { Authorization: `Bearer ${process.env.WM_TOKEN}` }, body: '{"name": "js"}' });
told.retried = await wmill.waitJob(await retried.text());

process.env.WM_JOB_ID = flow;
told.no_approvals = [await approval(() => wmill.getResumeUrls()), await approval(() => wmill.getResumeUrls('ann', true)),
  await approval(() => wmill.getApprovalUrls())];
await wmill.setFlowUserState('key', { a: [1] }, true);
told.flow_user_state = await wmill.getFlowUserState('key', true);
delete process.env.WM_JOB_ID;

await wmill.setVariable('u/admin/js_plain', 'one');
await wmill.setVariable('u/admin/js_plain', 'two');
await wmill.setVariable('u/admin/js_secret', 'hidden', true);
told.variables = [];
for (const path of ['u/admin/js_plain', 'var://u/admin/js_plain', 'u/admin/js_secret']) told.variables.push(await wmill.getVariable(path));
told.no_variable = await error(() => wmill.getVariable('u/admin/none'));
await wmill.setResource({ a: 1, password: '$var:u/admin/js_secret' }, 'u/admin/js_res', 'any');
await wmill.setResource({ a: 2, password: '$var:u/admin/js_secret' }, 'u/admin/js_res');
told.resource = [];
for (const path of ['u/admin/js_res', '$res:u/admin/js_res', 'res://u/admin/js_res']) told.resource.push(await wmill.getResource(path));
told.no_resource = (await wmill.getResource('u/admin/none', true)) ?? null;
told.state = [(await wmill.getState()) ?? null];
for (const value of [{ last: 1 }, { last: 2 }]) {
  await wmill.setState(value);
  told.state.push(await wmill.getState());
}
console.log(JSON.stringify(told));
