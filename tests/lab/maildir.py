"""The Maildir in which all mail of the lab ends."""
import os

from . import wait


class Maildir:
    def __init__(self, path):
        self.new = os.path.join(path, "new")
        self.read = {}     # file name -> bytes

    def messages(self):
        """Every message so far, with LF line ends as Postfix writes them."""
        if os.path.isdir(self.new):
            for name in sorted(os.listdir(self.new)):
                if name not in self.read:
                    with open(os.path.join(self.new, name), "rb") as file:
                        self.read[name] = file.read()
        return list(self.read.values())

    def find(self, token):
        """The messages that bear the token anywhere (case's own Message-ID, as a rule)."""
        return [message for message in self.messages() if token.encode() in message]

    def wait(self, token, count=1, seconds=30):
        """The first message that bears the token, once `count` have arrived."""
        return wait.until("mail with %s delivered" % token,
                          lambda: len(self.find(token)) >= count and self.find(token), seconds)[0]
