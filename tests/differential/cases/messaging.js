// MessageChannel and MessagePort (HTML standard, section 9.4).

import { attempt, attempts, bytes, descriptor } from "../run.js";

const received = (port) => new Promise((resolve) => {
  port.onmessage = (event) => resolve(event);
});

export default {
  "a message": async () => {
    const { port1, port2 } = new MessageChannel();
    port1.postMessage({ a: [1] });
    const event = await received(port2);
    port1.close();
    return [event.data, event instanceof MessageEvent, event.type, event.target === port2];
  },
  "both ways": async () => {
    const { port1, port2 } = new MessageChannel();
    port2.onmessage = (event) => port2.postMessage(event.data * 2);
    port1.postMessage(21);
    const { data } = await received(port1);
    port1.close();
    return data;
  },
  "the order": async () => {
    const { port1, port2 } = new MessageChannel();
    const seen = [];
    await new Promise((resolve) => {
      port2.onmessage = ({ data }) => {
        seen.push(data);
        if (data === 3) resolve();
      };
      for (const number of [1, 2, 3]) port1.postMessage(number);
    });
    port1.close();
    return seen;
  },
  "addEventListener needs start": async () => {
    const { port1, port2 } = new MessageChannel();
    const message = new Promise((resolve) => port2.addEventListener("message", resolve));
    port1.postMessage("x");
    port2.start();
    const { data } = await message;
    port1.close();
    return data;
  },
  "messages arrive later": () => {
    const { port1, port2 } = new MessageChannel();
    let seen = false;
    port2.onmessage = () => { seen = true; };
    port1.postMessage(1);
    port1.close();
    return seen;
  },
  "transfer of a buffer": async () => {
    const { port1, port2 } = new MessageChannel();
    const data = bytes(1, 2);
    port1.postMessage(data, [data.buffer]);
    const event = await received(port2);
    port1.close();
    return [event.data, data.byteLength];
  },
  "what cannot be cloned": () => {
    const { port1 } = new MessageChannel();
    return attempts(() => port1.postMessage(() => {}), () => port1.postMessage(Symbol()), () => port1.postMessage(), () => port1.postMessage(port1, [port1]));
  },
  "constructors": () => attempts(() => new MessagePort(), () => MessageChannel()),
  "the same ports each time": () => {
    const channel = new MessageChannel();
    return [channel.port1 === channel.port1, channel.port1 instanceof MessagePort, channel.port1 instanceof EventTarget];
  },
  "the shape": () => [
    ["port1", "port2", Symbol.toStringTag].map((name) => descriptor(MessageChannel.prototype, name)),
    ["postMessage", "start", "close", Symbol.toStringTag].map((name) => descriptor(MessagePort.prototype, name)),
  ],
};
