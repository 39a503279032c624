# SPDX-License-Identifier: Apache-2.0
"""Users, balances, charges."""

from model.base import INT64_MAX, Base, Refused, invalid

CHARGE_MAX = 10**12


class User:
    """Name and address are the server's where nobody gave them: None until they have been seen."""

    def __init__(self, user_id, balance, username=None, email=None):
        self.user_id, self.balance = user_id, balance
        self.username, self.email = username, email


class Users(Base):
    def __init__(self, time_zone):
        super().__init__(time_zone)
        self.users = {}
        self.opening_balances = {}

    def add_users(self, first, last, balance):
        """How many there were not yet."""
        new = [i for i in range(first, last + 1) if i not in self.users]
        for user_id in new:
            self.users[user_id] = User(user_id, balance)
            self.opening_balances[user_id] = balance
        return len(new)

    def create_users(self, body):
        balance = body.get("balance", 0)
        if balance < 0:
            raise invalid("balance")
        if "fromUserId" in body:
            return 201, {"created": self.add_users(body["fromUserId"], body["toUserId"], balance)}
        if body["userId"] in self.users:
            raise Refused("CONFLICT")
        self.add_users(body["userId"], body["userId"], balance)
        user = self.users[body["userId"]]
        user.username, user.email = body.get("username"), body.get("email")
        return 201, {"created": 1}

    def get_user(self, user_id):
        user = self.user(user_id)
        user.username = user.username or self.choose.text("username")
        user.email = user.email or self.choose.text("email")
        return 200, {"userId": user_id, "username": user.username, "email": user.email, "balance": user.balance}

    def get_balance(self, user_id):
        return 200, {"userId": user_id, "balance": self.user(user_id).balance}

    def charge(self, request, user_id):
        amount = self.number(request.body, "amount")

        def effect():
            user = self.user(user_id)
            if not self.can_charge(user.balance, amount):
                raise Refused("INVALID_CHARGE_AMOUNT")
            user.balance += amount
            return 200, {
                "userId": user_id,
                "balance": user.balance,
                "chargedAmount": amount,
                "chargedAt": self.choose.moment("chargedAt"),
            }

        return self.once(request, user_id, "charge", [user_id, amount], effect)

    def can_charge(self, balance, amount):
        return 1 <= amount <= CHARGE_MAX and balance + amount <= INT64_MAX
