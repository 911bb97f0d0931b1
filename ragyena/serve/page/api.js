// Requests to the server: JSON, uploads with progress, and streams of events. Every failure is an ApiError.

export class ApiError extends Error {
  constructor(message, hint, status) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

let key = sessionStorage.getItem("key") ?? "";
let askForKey = async () => "";

export function onKeyNeeded(ask) {
  askForKey = ask;
}

function headers(more = {}) {
  return key ? { ...more, authorization: `Bearer ${key}` } : more;
}

async function failure(response) {
  let detail = {};
  try {
    detail = (await response.json()).error ?? {};
  } catch {
    // a proxy's own page, or nothing
  }
  return new ApiError(detail.message ?? `the server answered ${response.status}`, detail.hint ?? "", response.status);
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: headers(options.headers) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("the server cannot be reached", "is `ragyena serve` still running?", 0);
  }
  if (response.status === 401) {
    key = await askForKey();
    sessionStorage.setItem("key", key);
    return request(path, options);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

export function query(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given).toString();
  return text ? `${path}?${text}` : path;
}

export async function getJson(path, values = {}) {
  return (await request(query(path, values))).json();
}

export async function getPicture(path, values = {}) {
  return URL.createObjectURL(await (await request(query(path, values))).blob());
}

export async function remove(path, values = {}) {
  return (await request(query(path, values), { method: "DELETE" })).json();
}

// Upload files; `onProgress` gets the part that is sent, from 0 to 1. XMLHttpRequest: fetch tells no progress.
export function upload(path, values, files, onProgress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const file of files) form.append("files", file, file.name);
    const sending = new XMLHttpRequest();
    sending.open("POST", query(path, values));
    for (const [name, value] of Object.entries(headers())) sending.setRequestHeader(name, value);
    sending.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    sending.onerror = () => reject(new ApiError("the upload was cut off", "try again", 0));
    sending.onload = () => {
      let body = {};
      try {
        body = JSON.parse(sending.responseText);
      } catch {
        // not ours
      }
      if (sending.status < 300) resolve(body);
      else reject(new ApiError(body.error?.message ?? `the server answered ${sending.status}`, body.error?.hint ?? "", sending.status));
    };
    sending.send(form);
  });
}

// The events of a stream, as [name, data] pairs.
export async function* events(path, body, signal) {
  const options = body
    ? { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" }, signal }
    : { signal };
  const response = await request(path, options);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const lines = frame.split("\n");
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      const name = lines.find((line) => line.startsWith("event: "))?.slice(7) ?? "message";
      if (data) yield [name, JSON.parse(data)];
    }
  }
}
